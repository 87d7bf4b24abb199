//! LAN settings and a user of a BMC, by IPMI 2.0: what to ask, what to change.
//!
//! Pure: how a command reaches the BMC is up to the caller. Nothing is written that is
//! right already: settings are in flash memory, and a changed address cuts sessions off.
//! Source: IPMI 2.0 rev. 1.1, sections 22 (users, channels) and 23 (LAN).

use std::net::Ipv4Addr;

const APP: u8 = 0x06;
const TRANSPORT: u8 = 0x0c;

const GET_CHANNEL: u8 = 0x42;
const SET_ACCESS: u8 = 0x43;
const GET_ACCESS: u8 = 0x44;
const SET_NAME: u8 = 0x45;
const GET_NAME: u8 = 0x46;
const SET_PASSWORD: u8 = 0x47;
const SET_LAN: u8 = 0x01;
const GET_LAN: u8 = 0x02;

/// Channels that may be a LAN: 1 to 11 (table 6-1).
const CHANNELS: std::ops::RangeInclusive<u8> = 1..=11;
/// 802.3 LAN (table 6-3).
const LAN: u8 = 4;
/// Privilege level of an administrator (section 6.8).
const ADMINISTRATOR: u8 = 4;

/// What a BMC is to have. What is not given is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its address and the bits of the network's prefix, 0 to 32.
    pub address: Option<(Ipv4Addr, u8)>,
    /// Its default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Its VLAN, 1 to 4094; 0 is none.
    pub vlan: Option<u16>,
    /// A user that administers it: name, at most 16 bytes, and password, at most 20.
    pub user: Option<(String, String)>,
}

/// Why a BMC is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command did not get there, or no answer came back.
    #[error("the BMC does not answer: {0}")]
    Silent(String),
    /// A completion code other than 0 (table 5-2).
    #[error("the BMC refuses to {doing}: code {code:#04x}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// The completion code.
        code: u8,
    },
    /// The same for a LAN setting (table 23-4).
    #[error("the BMC refuses to set the {name}: code {code:#04x}")]
    Setting {
        /// Which.
        name: &'static str,
        /// The completion code.
        code: u8,
    },
    /// An answer that is too short.
    #[error("the BMC's answer to \"{0}\" is too short")]
    Short(&'static str),
    /// No LAN channel.
    #[error("the BMC has no LAN channel")]
    NoLan,
    /// Every place for users is taken.
    #[error("the BMC has no place for another user")]
    Full,
    /// A name or password that IPMI cannot hold.
    #[error("{0}")]
    Unfit(&'static str),
}

/// Sends a command: network function, command, data. Answers completion code and data.
pub type Ask<'a> = &'a mut dyn FnMut(u8, u8, &[u8]) -> Result<Vec<u8>, String>;

/// Makes a BMC what it is to be. Returns what was changed, in words; nothing when all was right.
///
/// # Errors
/// The first thing that cannot be done.
pub fn apply(wanted: &Wanted, ask: Ask<'_>) -> Result<Vec<&'static str>, Error> {
    let mut bmc = Bmc { ask, open: false };
    let channel = bmc.channel()?;
    let mut changed = Vec::new();
    let lan = bmc.lan(channel, wanted, &mut changed);
    bmc.close(channel);
    lan?;
    if let Some((name, password)) = &wanted.user {
        bmc.user(channel, name, password, &mut changed)?;
    }
    Ok(changed)
}

struct Bmc<'a> {
    ask: Ask<'a>,
    /// Whether LAN settings are being changed.
    open: bool,
}

/// Parameter 0, "set in progress": many BMCs take what was set only when it is over.
const PROGRESS: u8 = 0;
const IN_PROGRESS: u8 = 1;
const COMMIT: u8 = 2;
const COMPLETE: u8 = 0;

impl Bmc<'_> {
    /// The data behind a completion code of 0.
    fn ask(&mut self, netfn: u8, command: u8, data: &[u8], doing: &'static str) -> Result<Vec<u8>, Error> {
        let mut answer = (self.ask)(netfn, command, data).map_err(Error::Silent)?;
        match answer.first() {
            None => Err(Error::Short(doing)),
            Some(0) => Ok(answer.split_off(1)),
            Some(code) => Err(Error::Refused { doing, code: *code }),
        }
    }

    fn channel(&mut self) -> Result<u8, Error> {
        for channel in CHANNELS {
            match self.ask(APP, GET_CHANNEL, &[channel], "tell about a channel") {
                Ok(info) if info.get(1).is_some_and(|medium| medium & 0x7f == LAN) => return Ok(channel),
                Err(silent @ Error::Silent(_)) => return Err(silent),
                _ => {}
            }
        }
        Err(Error::NoLan)
    }

    fn lan(&mut self, channel: u8, wanted: &Wanted, changed: &mut Vec<&'static str>) -> Result<(), Error> {
        if let Some((address, prefix)) = wanted.address {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            // Parameter 4: 1 is a static address.
            self.parameter(channel, 4, &[1], 0x0f, "address source", changed)?;
            self.parameter(channel, 3, &address.octets(), 0xff, "address", changed)?;
            self.parameter(channel, 6, &mask.to_be_bytes(), 0xff, "mask", changed)?;
        }
        if let Some(gateway) = wanted.gateway {
            self.parameter(channel, 12, &gateway.octets(), 0xff, "gateway", changed)?;
        }
        if let Some(vlan) = wanted.vlan {
            let [low, high] = vlan.to_le_bytes();
            let enabled = if vlan == 0 { 0 } else { 0x80 };
            self.parameter(channel, 20, &[low, high & 0x0f | enabled], 0xff, "VLAN", changed)?;
        }
        Ok(())
    }

    /// Ends the change of LAN settings. Both commands are optional, and may be refused.
    fn close(&mut self, channel: u8) {
        if self.open {
            for what in [COMMIT, COMPLETE] {
                drop((self.ask)(TRANSPORT, SET_LAN, &[channel, PROGRESS, what]));
            }
        }
    }

    /// Sets a LAN parameter, unless it has that value in the bits that count.
    fn parameter(
        &mut self,
        channel: u8,
        number: u8,
        value: &[u8],
        bits: u8,
        name: &'static str,
        changed: &mut Vec<&'static str>,
    ) -> Result<(), Error> {
        let answer = self.ask(TRANSPORT, GET_LAN, &[channel, number, 0, 0], "tell a LAN setting")?;
        let is = answer.get(1..).and_then(|is| is.get(..value.len())).ok_or(Error::Short(name))?;
        if is.iter().zip(value).all(|(is, wanted)| is & bits == *wanted) {
            return Ok(());
        }
        if !self.open {
            self.open = true;
            drop((self.ask)(TRANSPORT, SET_LAN, &[channel, PROGRESS, IN_PROGRESS]));
        }
        let data = [&[channel, number], value].concat();
        (self.ask)(TRANSPORT, SET_LAN, &data).map_err(Error::Silent).and_then(|answer| {
            match answer.first() {
                Some(0) => Ok(()),
                Some(code) => Err(Error::Setting { name, code: *code }),
                None => Err(Error::Short(name)),
            }
        })?;
        changed.push(name);
        Ok(())
    }

    fn user(
        &mut self,
        channel: u8,
        name: &str,
        password: &str,
        changed: &mut Vec<&'static str>,
    ) -> Result<(), Error> {
        let padded = fixed::<16>(name).ok_or(Error::Unfit("a BMC's user name has 1 to 16 bytes"))?;
        let secret = fixed::<20>(password).ok_or(Error::Unfit("a BMC's password has 1 to 20 bytes"))?;
        // User 1 has no name, and cannot have one.
        let access = self.ask(APP, GET_ACCESS, &[channel, 1], "tell about users")?;
        let most = access.first().ok_or(Error::Short("tell about users"))? & 0x3f;
        let (mut found, mut free) = (None, None);
        for id in 2..=most {
            // Some answer 0xcc for a place without a name.
            let is = self.ask(APP, GET_NAME, &[id], "tell a user's name").unwrap_or_default();
            let is = is.split(|b| *b == 0).next().unwrap_or_default();
            if is == name.as_bytes() {
                found = Some(id);
                break;
            }
            free = free.or(is.is_empty().then_some(id));
        }
        let id = found.or(free).ok_or(Error::Full)?;
        if found.is_none() {
            self.ask(APP, SET_NAME, &[&[id][..], &padded].concat(), "name a user")?;
            changed.push("user");
        }
        // Bit 7: 20 bytes; without it 16, the only ones IPMI 1.5 knows.
        let long = password.len() > 16;
        let secret = if long { &secret[..] } else { &secret[..16] };
        let (test, set) = (3, 2);
        let head = |operation: u8| [if long { id | 0x80 } else { id }, operation];
        let fits = self.ask(APP, SET_PASSWORD, &[&head(test), secret].concat(), "compare a password");
        if found.is_none() || fits.is_err() {
            self.ask(APP, SET_PASSWORD, &[&head(set), secret].concat(), "set a password")?;
            changed.push("password");
        }
        let is = self.ask(APP, GET_ACCESS, &[channel, id], "tell a user's rights")?;
        let (enabled, rights) = match *is {
            [_, enabled, _, rights, ..] => (enabled >> 6, rights),
            _ => return Err(Error::Short("tell a user's rights")),
        };
        if rights & 0x0f != ADMINISTRATOR || rights & 0x10 == 0 {
            // 0x80: change bits; 0x30: link authentication, IPMI messages.
            let data = [0xb0 | channel, id, ADMINISTRATOR, 0];
            self.ask(APP, SET_ACCESS, &data, "give a user rights")?;
            changed.push("rights");
        }
        // 1 is enabled; 0 says nothing (22.27).
        if enabled != 1 && (found.is_none() || enabled == 2) {
            self.ask(APP, SET_PASSWORD, &[id, 1], "enable a user")?;
        }
        Ok(())
    }
}

/// A text with zeros behind it.
fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    (!text.is_empty() && !text.contains('\0')).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A BMC with its LAN on channel 3, and what was written to it.
    #[derive(Default)]
    struct Fake {
        lan: BTreeMap<u8, Vec<u8>>,
        names: BTreeMap<u8, Vec<u8>>,
        passwords: BTreeMap<u8, Vec<u8>>,
        rights: BTreeMap<u8, u8>,
        writes: Vec<Vec<u8>>,
    }

    impl Fake {
        fn answer(&mut self, netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
            if matches!((netfn, command), (TRANSPORT, SET_LAN) | (APP, SET_NAME | SET_ACCESS))
                || (command == SET_PASSWORD && data[1] != 3)
            {
                self.writes.push([&[command], data].concat());
            }
            match (netfn, command) {
                (APP, GET_CHANNEL) => vec![0, data[0], if data[0] == 3 { LAN } else { 5 }, 1],
                (TRANSPORT, GET_LAN) => {
                    let value = self.lan.get(&data[1]).cloned().unwrap_or_else(|| vec![0; 4]);
                    [vec![0, 0x11], value].concat()
                }
                (TRANSPORT, SET_LAN) if data[1] == 12 && data[2] == 0 => vec![0xcc],
                (TRANSPORT, SET_LAN) => {
                    self.lan.insert(data[1], data[2..].to_vec());
                    vec![0]
                }
                (APP, GET_ACCESS) => {
                    vec![0, 3, 1, 0, self.rights.get(&data[1]).copied().unwrap_or(0x0f)]
                }
                (APP, SET_ACCESS) => {
                    self.rights.insert(data[1], data[0] & 0x70 | data[2]);
                    vec![0]
                }
                (APP, GET_NAME) => match self.names.get(&data[0]) {
                    Some(name) => [&[0][..], name].concat(),
                    None => vec![0xcc],
                },
                (APP, SET_NAME) => {
                    self.names.insert(data[0], data[1..].to_vec());
                    vec![0]
                }
                (APP, SET_PASSWORD) => {
                    let id = data[0] & 0x3f;
                    match data[1] {
                        2 => drop(self.passwords.insert(id, data[2..].to_vec())),
                        3 if self.passwords.get(&id).map(Vec::as_slice) != Some(&data[2..]) => {
                            return vec![0x80];
                        }
                        _ => {}
                    }
                    vec![0]
                }
                _ => vec![0xc1],
            }
        }

        fn apply(&mut self, wanted: &Wanted) -> Result<Vec<&'static str>, Error> {
            apply(wanted, &mut |netfn, command, data| Ok(self.answer(netfn, command, data)))
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            address: Some((Ipv4Addr::new(10, 9, 12, 7), 22)),
            gateway: Some(Ipv4Addr::new(10, 9, 12, 1)),
            vlan: Some(300),
            user: Some(("ops".into(), "secret".into())),
        }
    }

    #[test]
    fn all_is_set_once_and_nothing_the_second_time() {
        let mut bmc = Fake::default();
        bmc.names.insert(2, b"factory".to_vec());
        let changed = bmc.apply(&wanted()).unwrap();
        assert_eq!(
            changed,
            ["address source", "address", "mask", "gateway", "VLAN", "user", "password", "rights"]
        );
        assert_eq!(bmc.lan[&6], [255, 255, 252, 0]);
        assert_eq!(bmc.lan[&20], [0x2c, 0x81]);
        assert_eq!(&bmc.names[&3][..4], b"ops\0");
        assert_eq!((bmc.passwords[&3].len(), bmc.rights[&3]), (16, 0x34));
        bmc.writes.clear();
        assert_eq!(bmc.apply(&wanted()).unwrap(), [""; 0]);
        assert_eq!(bmc.writes, Vec::<Vec<u8>>::new());

        let user = Some(("ops".to_owned(), "a longer secret, 20b".to_owned()));
        assert_eq!(bmc.apply(&Wanted { user, ..Wanted::default() }).unwrap(), ["password"]);
        assert_eq!(bmc.passwords[&3].len(), 20);
        let none = Wanted { vlan: Some(0), ..Wanted::default() };
        assert_eq!(bmc.apply(&none).unwrap(), ["VLAN"]);
        assert_eq!(bmc.lan[&20], [0, 0]);
    }

    #[test]
    fn what_cannot_be_is_said() {
        let mut bmc = Fake::default();
        let user = |name: &str, password: &str| Wanted {
            user: Some((name.to_owned(), password.to_owned())),
            ..Wanted::default()
        };
        assert!(matches!(bmc.apply(&user("a name of 17 byte", "x")), Err(Error::Unfit(_))));
        assert!(matches!(bmc.apply(&user("x", "a secret of 21 bytes!")), Err(Error::Unfit(_))));
        bmc.names = [(2, b"a".to_vec()), (3, b"b".to_vec())].into();
        assert_eq!(bmc.apply(&user("c", "x")), Err(Error::Full));
        bmc.lan.insert(12, vec![10, 0, 0, 1]);
        let gateway = Wanted { gateway: Some(Ipv4Addr::UNSPECIFIED), ..Wanted::default() };
        assert_eq!(
            bmc.apply(&gateway).unwrap_err().to_string(),
            "the BMC refuses to set the gateway: code 0xcc"
        );
        let mut silent = |_: u8, _: u8, _: &[u8]| Err("timed out".to_owned());
        assert_eq!(
            apply(&wanted(), &mut silent).unwrap_err().to_string(),
            "the BMC does not answer: timed out"
        );
        let mut none = |_: u8, _: u8, _: &[u8]| Ok(vec![0xcc]);
        assert_eq!(apply(&wanted(), &mut none), Err(Error::NoLan));
        let mut short = |_: u8, command: u8, data: &[u8]| {
            Ok(if command == GET_CHANNEL { vec![0, data[0], LAN] } else { vec![0] })
        };
        assert_eq!(apply(&wanted(), &mut short), Err(Error::Short("address source")));
    }
}
