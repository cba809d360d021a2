//! The history of an image: who made which layer.

use lifecycle_core::value::{Table, Value};

/// One entry of an image's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Who made the layer.
    pub author: String,
    /// When, RFC 3339; empty for no known time.
    pub created: String,
    /// By what.
    pub created_by: String,
    /// A remark.
    pub comment: String,
    /// Whether the entry has no layer.
    pub empty_layer: bool,
}

impl History {
    pub(super) fn from_table(entry: &Table) -> Self {
        let text = |key: &str| {
            entry
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            author: text("author"),
            created: text("created"),
            created_by: text("created_by"),
            comment: text("comment"),
            empty_layer: entry
                .get("empty_layer")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
        }
    }

    pub(super) fn to_table(&self) -> Table {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Table::new()
            .with_some("author", filled(&self.author))
            .with(
                "created",
                filled(&self.created).unwrap_or_else(|| super::config::NO_TIME.to_owned()),
            )
            .with_some("created_by", filled(&self.created_by))
            .with_some("comment", filled(&self.comment))
            .with_some("empty_layer", self.empty_layer.then_some(true))
    }

    /// The entries of `history` that belong to `layers` layers, one each; all absent when the counts differ, as
    /// nobody can tell then which entry belongs where (FACTS 4.4).
    pub(crate) fn per_layer(history: Vec<Self>, layers: usize) -> Vec<Option<Self>> {
        let filled: Vec<_> = history
            .into_iter()
            .filter(|entry| !entry.empty_layer)
            .map(Some)
            .collect();
        if filled.len() == layers {
            filled
        } else {
            vec![None; layers]
        }
    }
}
