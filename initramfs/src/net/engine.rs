//! The one thread behind all links: waits, looks, lets each link do its part.

use super::link::{Context, Link};
use super::netlink::LinkInfo;
use super::plan;
use super::ports::Ports;
use super::rtnl::{Rtnl, Watch};
use super::state::LinkState;
use super::transceivers::Messages;
use super::{Setup, Shared, resolv};
use crate::early::uptime;
use formats::ipconf::IpParam;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often to look at the links although no event came.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long an `ip=` address without a device waits for the link the sled was
/// booted from before it goes to another.
const BOOTIF_FIRST: Duration = Duration::from_secs(10);

pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) setup: Setup,
    pub(super) random: fn() -> u64,
    pub(super) rtnl: Rtnl,
    pub(super) watch: Watch,
    /// Addresses for whichever link, and whose they became.
    pub(super) floating: Vec<(IpParam, Option<u32>)>,
    pub(super) links: Vec<Link>,
    pub(super) started: Duration,
    pub(super) written: Option<String>,
    /// Where the kernel says which transceivers a driver does not take.
    pub(super) messages: Option<Messages>,
}

impl Engine {
    /// Until told to stop.
    pub(super) fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let heard = self.wait();
            self.turn(heard);
        }
    }

    /// Waits for a frame, an event or the next deadline; returns which links
    /// have frames.
    fn wait(&self) -> Vec<u32> {
        let now = uptime();
        let next = self.links.iter().filter_map(Link::deadline).min();
        // A timer that ends a little early would be a turn for nothing.
        let timeout = next.map_or(LOOK_AGAIN, |at| {
            at.saturating_sub(now).saturating_add(Duration::from_millis(1)).min(LOOK_AGAIN)
        });
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(1),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut owners = vec![0, 0];
        let mut fds =
            vec![PollFd::new(&self.watch, PollFlags::IN), PollFd::new(&self.shared.wake, PollFlags::IN)];
        for link in &self.links {
            fds.extend(link.ports().into_iter().flat_map(Ports::poll_fds));
            owners.resize(fds.len(), link.info.index);
        }
        // A signal ends the wait early, which is harmless.
        let _ = poll(&mut fds, Some(&timeout));
        let ready = fds.iter().zip(owners).filter(|(fd, _)| !fd.revents().is_empty());
        ready.map(|(_, owner)| owner).collect()
    }

    /// Everything there is to do now.
    pub(super) fn turn(&mut self, heard: Vec<u32>) {
        let woken = rustix::io::read(&self.shared.wake, &mut [0_u8; 8]).is_ok();
        let (changed, advertised) = self.watch.drain();
        // Without frames it is the first turn, an event, or the time for it.
        if changed || woken || heard.is_empty() {
            self.look();
        }
        let now = uptime();
        for (index, options) in advertised {
            if let Some(link) = self.links.iter_mut().find(|link| link.info.index == index) {
                link.advertised(&options, now);
            }
        }
        let Self { links, rtnl, shared, random, setup, .. } = self;
        let mut context = Context::new(rtnl, shared, *random, setup);
        for link in links {
            if heard.contains(&link.info.index) {
                link.receive(&mut context);
            }
            link.tick(&mut context);
        }
        self.publish();
    }

    fn look(&mut self) {
        self.shared.refused(self.messages.iter().flat_map(Messages::refused).collect());
        let Ok(mut infos) = self.rtnl.links() else { return };
        infos.retain(is_physical);
        let same =
            |link: &Link| infos.iter().any(|info| info.index == link.info.index && info.mac == link.info.mac);
        self.links.retain(same);
        for info in &infos {
            if !self.links.iter().any(|link| link.info.index == info.index) {
                self.links.push(Link::new(info.clone()));
            }
        }
        self.place_floating(&infos);
        let addresses6 = self.rtnl.addresses6();
        let Self { links, rtnl, shared, random, setup, floating, .. } = self;
        let mut context = Context::new(rtnl, shared, *random, setup);
        for link in links {
            let Some(info) = infos.iter().find(|info| info.index == link.info.index) else { continue };
            let given: Vec<_> = floating
                .iter()
                .filter(|(_, index)| *index == Some(info.index))
                .map(|(param, _)| param.clone())
                .collect();
            let wish = plan::wish(&setup.statics, &given, &info.name, &link.macs());
            link.addresses6 = addresses6
                .iter()
                .filter(|(index, ..)| *index == info.index)
                .map(|(_, address, prefix)| (*address, *prefix))
                .collect();
            link.update(info.clone(), wish, &mut context);
        }
    }

    /// Gives each address that is for whichever link to one with a carrier: the
    /// boot link, or after some time the first. It stays there.
    fn place_floating(&mut self, infos: &[LinkInfo]) {
        let is_boot_link = |info: &LinkInfo| {
            self.setup.bootif.is_some_and(|m| m == info.mac || info.permanent_mac == Some(m))
        };
        let waited = uptime().saturating_sub(self.started) >= BOOTIF_FIRST;
        let any = self.setup.bootif.is_none() || waited;
        let ready = || infos.iter().filter(|info| info.ready);
        let Some(chosen) = ready().find(|i| is_boot_link(i)).or(ready().next().filter(|_| any)) else {
            return;
        };
        for (_, link) in self.floating.iter_mut().filter(|(_, link)| link.is_none()) {
            *link = Some(chosen.index);
        }
    }

    /// Shows the links to others, wakes them and rewrites the resolver's file,
    /// if anything is different.
    fn publish(&mut self) {
        let mut links: Vec<LinkState> = self.links.iter().map(Link::state).collect();
        let boot = |link: &LinkState| {
            self.setup.bootif.is_some_and(|m| m == link.mac || link.permanent_mac == Some(m))
        };
        links.sort_by_key(|link| (!boot(link), link.index));
        let first: Vec<_> = self.setup.statics.iter().flat_map(|p| p.dns.iter().copied()).collect();
        let text = resolv::text(&first, &links);
        if self.written.as_ref() != Some(&text) {
            if let Err(error) = resolv::write(&self.setup.resolv_conf, &text) {
                (self.shared.say)(&format!("{} is not written ({error})", self.setup.resolv_conf.display()));
            }
            self.written = Some(text);
        }
        self.shared.publish(links);
    }
}

/// Cards. A veth is one too: it is what a container has in place of a card.
fn is_physical(info: &LinkInfo) -> bool {
    info.ethernet && matches!(info.made_by.as_str(), "" | "veth")
}
