//! TOML: parsing into [`Value`], and the emitter with the reference's bytes (FACTS 3.1, 3.2).

use crate::error::Result;
use crate::value::Table;

/// Parses a TOML 1.1 document. Nesting and size are bounded.
///
/// # Errors
/// The text is not TOML, or nests too deeply; the message has line and column.
pub fn parse(text: &str) -> Result<Table> {
    let _ = text;
    todo!()
}

/// The document in the reference's form. Entries keep the table's order, except that plain values come before
/// tables and arrays of tables; free maps are to be sorted by the caller ([`Table::sorted`]).
pub fn to_string(table: &Table) -> String {
    let _ = table;
    todo!()
}
