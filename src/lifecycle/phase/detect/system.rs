use crate::log::Log;
use lifecycle_core::data::order::{OrderElement, Orders};
use lifecycle_core::data::system::System;

/// Puts system buildpacks before and after every group of buildpacks (FACTS 6.2; PLAT-DETECT-005 to 008).
///
/// A system buildpack whose id the group lists itself, in whatever version, is left out of that group.
#[must_use]
pub fn with_system(orders: Orders, system: &System, log: &Log) -> Orders {
    let buildpacks = orders.buildpacks.into_iter();
    let buildpacks = buildpacks
        .map(|group| around(&group, system, log))
        .collect();
    Orders {
        buildpacks,
        ..orders
    }
}

fn around(group: &[OrderElement], system: &System, log: &Log) -> Vec<OrderElement> {
    let missing = |candidates: &[OrderElement]| -> Vec<OrderElement> {
        let listed = |id: &str| group.iter().any(|element| element.id == id);
        let missing = candidates.iter().filter(|element| !listed(&element.id));
        missing.cloned().collect()
    };
    let (pre, post) = (missing(&system.pre), missing(&system.post));
    if !pre.is_empty() {
        log.debug(format_args!(
            "Prepending {} system buildpack(s) to group",
            pre.len()
        ));
    }
    if !post.is_empty() {
        log.debug(format_args!(
            "Appending {} system buildpack(s) to group",
            post.len()
        ));
    }
    [pre, group.to_vec(), post].concat()
}
