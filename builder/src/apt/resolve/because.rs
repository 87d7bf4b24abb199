//! Why each package is in: the shortest way to it from a root.

use std::collections::HashMap;

use super::Root;
use super::pool::Pool;
use crate::apt::relation;

/// For each of `chosen` (ascending) the names on the way to it, root first,
/// without its own.
pub(super) fn chains(pool: &Pool<'_>, roots: &[Root], chosen: &[u32], recommends: bool) -> Vec<Vec<String>> {
    let mut found: HashMap<u32, Vec<String>> = HashMap::new();
    // Breadth first: one level of the queue is one step away from a root.
    let mut queue: Vec<(u32, Vec<String>)> = Vec::new();
    for root in roots {
        if let Some(id) = first_chosen(&root.candidates, chosen) {
            queue.push((id, vec![root.because.to_owned()]));
        }
    }
    while !queue.is_empty() {
        let mut next = Vec::new();
        for (id, chain) in std::mem::take(&mut queue) {
            if found.contains_key(&id) {
                continue;
            }
            let mut longer = chain.clone();
            longer.push(pool.get(id).record.name.to_owned());
            next.extend(needs(pool, id, chosen, recommends).into_iter().map(|n| (n, longer.clone())));
            found.insert(id, chain);
        }
        queue = next;
    }
    // Nothing is chosen without a reason; an empty chain would show a solver's mistake.
    chosen.iter().map(|id| found.remove(id).unwrap_or_default()).collect()
}

/// What of `chosen` satisfies the relations of `id`, in their order.
fn needs(pool: &Pool<'_>, id: u32, chosen: &[u32], recommends: bool) -> Vec<u32> {
    let record = &pool.get(id).record;
    let wanted = if recommends { record.recommends } else { "" };
    let mut needs = Vec::new();
    for field in [record.pre_depends, record.depends, wanted] {
        for entry in relation::parse(field).unwrap_or_default() {
            let candidates: Vec<u32> =
                entry.iter().flat_map(|atom| pool.matching(atom)).flat_map(|(_, ids)| ids).collect();
            needs.extend(first_chosen(&candidates, chosen));
        }
    }
    needs
}

fn first_chosen(candidates: &[u32], chosen: &[u32]) -> Option<u32> {
    candidates.iter().copied().find(|id| chosen.binary_search(id).is_ok())
}
