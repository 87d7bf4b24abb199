//! What happens by itself: a changed fleet file is compiled, documents that were compiled
//! elsewhere are taken over, sleds that are not heard of any more are silent.

use crate::App;
use crate::sled::state::Event;
use metadata::fleet::compile::INDEX;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until the server ends.
pub(crate) async fn watch(app: Arc<App>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let inner = Arc::clone(&app);
        // Files are read, and documents compiled.
        let _ = tokio::task::spawn_blocking(move || look(&inner)).await;
    }
}

fn look(app: &App) {
    silence(app);
    if let Some(fleet) = &app.fleet {
        let mut fleet = fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if fleet.changed() {
            // It is said where it happens.
            let _ = app.compile(fleet.as_mut());
        }
        return;
    }
    let Ok(meta) = std::fs::metadata(app.documents.join(INDEX)) else { return };
    let site = app.site.get();
    if site.files.get(INDEX).is_some_and(|index| index.etag == crate::site::etag(&meta)) {
        return;
    }
    match app.reload() {
        Ok(()) => app.log.say("new documents are handed out"),
        // They may still be on their way: tried again.
        Err(error) => {
            app.log.limited("new documents", &format!("new documents cannot be used: {error}"));
        }
    }
}

fn silence(app: &App) {
    let patience = u64::try_from(app.silent.as_millis()).unwrap_or(u64::MAX);
    let now = crate::now();
    for (id, record) in app.keeper.live.all() {
        if record.is_overdue(now, patience) {
            let _ = app.keeper.note(&id, Event::Silence, None);
        }
    }
}
