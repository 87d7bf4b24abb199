//! The questions. Each answer is checked at once, against what is really there; one that
//! cannot be used is asked for again. Nothing is written.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _, Write};
use std::path::Path;

use metadata::fleet::adopt::{Adopted, adopt};
use metadata::fleet::compile::images;
use metadata::fleet::release::release;
use metadata::fleet::resolve::ImageChoice;
use metadata::fleet::sign::{Signer, new_key};
use yaml::diagnostic::{Diagnostic, Diagnostics, Source};

use super::Error;
use super::answers::{self, Where};
use super::console::{Console, END};
use super::host::{Host, LABEL, Nic};
use super::images::{self as image, Image};
use super::plan::{Key, KeyFrom, Plan, Vouched, room};
use super::settings::{Before, Settings};
use crate::fleet::apply_ignition;

/// Where the fleet file is as long as nothing is written.
const NOWHERE: &str = "/nowhere/fleet.yaml";
/// Largest fleet file that is fetched.
const FLEET_MAX: u64 = 4 << 20;

/// Who asks, whom, and what there is already.
struct Questions<'a, R, W> {
    console: &'a mut Console<R, W>,
    host: &'a mut dyn Host,
    /// Where images are that need no copying.
    images: &'a Path,
    before: Option<Before>,
}

/// Asks until there is a plan that was confirmed. `images` are those the seed has already.
///
/// # Errors
/// When the terminal has gone, or nobody types any more.
pub fn ask<R: BufRead, W: Write>(
    console: &mut Console<R, W>,
    host: &mut dyn Host,
    images: &Path,
    before: Option<&Before>,
) -> Result<Plan, Error> {
    let mut questions = Questions { console, host, images, before: before.cloned() };
    loop {
        let plan = questions.plan()?;
        questions.console.say(&format!("\n{plan}"))?;
        loop {
            match &*questions.console.ask("Do that? (yes, or no to answer again)")?.to_ascii_lowercase() {
                "yes" | "y" => return Ok(plan),
                "no" | "n" => break,
                _ => questions.console.say("  Write yes or no.")?,
            }
        }
        questions.console.say("Nothing was changed.\n")?;
    }
}

impl<R: BufRead, W: Write> Questions<'_, R, W> {
    fn plan(&mut self) -> Result<Plan, Error> {
        let nic = self.nic()?;
        let settings = self.settings(&nic)?;
        let key = self.key()?;
        let copy = self.images(&settings)?;
        let (Adopted { text, fleet, changes }, vouched) = self.fleet(&settings, &key, &copy)?;
        let summary = (fleet.file.fleet.clone(), fleet.sleds.len(), fleet.file.racks.len());
        let before = self.before.clone();
        Ok(Plan { settings, nic, key, copy, vouched, fleet: text, summary, changes, before })
    }

    /// Asks until `parse` takes the answer. An empty one is the default, when there is one.
    fn until<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        mut parse: impl FnMut(&mut Self, &str) -> Result<Result<T, String>, Error>,
    ) -> Result<T, Error> {
        let question = match default {
            Some(default) => format!("{question} [{default}]"),
            None => question.to_owned(),
        };
        loop {
            let mut text = self.console.ask(&question)?;
            if text.is_empty() {
                text = default.unwrap_or_default().to_owned();
            }
            match parse(self, &text)? {
                Ok(value) => return Ok(value),
                Err(why) => self.wrong(&why)?,
            }
        }
    }

    fn wrong(&mut self, why: &str) -> Result<(), Error> {
        let lines: Vec<_> = why.trim_end().lines().map(|line| format!("  {line}")).collect();
        self.console.say(&lines.join("\n"))
    }

    fn nic(&mut self) -> Result<Nic, Error> {
        loop {
            let nics = self.host.nics();
            if nics.is_empty() {
                self.console.say("This machine has no network card that its image has a driver for.")?;
                self.console.ask("Press Enter to look again.")?;
                continue;
            }
            self.console.say("Network cards:")?;
            for (n, nic) in nics.iter().enumerate() {
                self.console.say(&format!("  {}: {nic}", n + 1))?;
            }
            // What it was; otherwise the only one with a cable.
            let was = self.before.as_ref().map(|before| before.settings.mac);
            let mut cabled = nics.iter().enumerate().filter(|(_, nic)| nic.carrier);
            let only = cabled.next().filter(|_| cabled.next().is_none());
            let old = nics.iter().enumerate().find(|(_, nic)| Some(nic.mac) == was);
            let default = old.or(only).map(|(n, _)| (n + 1).to_string());
            let question = "Which one is on the sleds' network?";
            let n =
                self.until(question, default.as_deref(), |_, text| Ok(answers::number(text, nics.len())))?;
            let Some(nic) = nics.into_iter().nth(n - 1) else { continue };
            if !nic.carrier {
                self.console.say("  It has no cable now. That can be done later.")?;
            }
            return Ok(nic);
        }
    }

    fn settings(&mut self, nic: &Nic) -> Result<Settings, Error> {
        let before = self.before.as_ref().map(|before| before.settings.clone());
        let default = before.as_ref().map(|before| before.own().to_string());
        let question = "Address of this seed there, with its prefix length, as 10.0.0.2/24?";
        let own = self.until(question, default.as_deref(), |_, text| Ok(answers::address(text)))?;
        self.console
            .say("Addresses to give to sleds, as 10.0.0.100,10.0.0.200. `none` when another DHCP server")?;
        let old = before.map(|before| match before.range {
            Some((first, last)) => format!("{first},{last}"),
            None => "none".to_owned(),
        });
        // An old range may be one of another network.
        let old = old.filter(|old| old == "none" || answers::range(old, own).is_ok());
        let default = old.unwrap_or_else(|| "none".to_owned());
        let range = self.until("gives addresses there:", Some(&default), |_, text| {
            Ok(answers::range(if text == "none" { "" } else { text }, own))
        })?;
        Ok(Settings { mac: nic.mac, address: own.ip, prefix: own.prefix, range })
    }

    fn key(&mut self) -> Result<Key, Error> {
        let question = format!(
            "The key that signs: `new`, or `usb` for ops.key on the stick labelled {LABEL}{}?",
            match self.before {
                Some(_) => ", or `keep`",
                None => "",
            }
        );
        let default = if self.before.is_some() { "keep" } else { "new" };
        self.until(&question, Some(default), |q, text| Ok(q.key_from(text)))
    }

    fn key_from(&mut self, text: &str) -> Result<Key, String> {
        let (secret, from) = match (text, &self.before) {
            ("new", _) => {
                let made = new_key("seed", None).map_err(|e| format!("cannot make a key: {e}"))?;
                (made.secret, KeyFrom::New)
            }
            ("keep", Some(before)) => (before.key.clone(), KeyFrom::Here),
            ("usb", _) => {
                let file = self.host.stick()?.join("ops.key");
                let text = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
                (String::from_utf8_lossy(&text).into_owned(), KeyFrom::Stick)
            }
            _ => return Err("write one of the words".to_owned()),
        };
        let signer = Signer::parse(&secret, None).map_err(|e| {
            format!("{e}; it has to be a secret key without a password, as `sledos keys new ops` makes it")
        })?;
        let line = signer.public().as_str().to_owned();
        Ok(Key { secret, line, from })
    }

    /// Before something is fetched. A seed that serves keeps its address until the plan is
    /// confirmed.
    fn online(&mut self, settings: &Settings) -> Result<(), String> {
        if self.before.is_some() { Ok(()) } else { self.host.online(settings) }
    }

    fn images(&mut self, settings: &Settings) -> Result<Vec<Image>, Error> {
        let here = match image::in_dir(self.images, self.host) {
            Ok(here) => here,
            Err(why) => {
                self.wrong(&format!("An image that is here already is damaged: {why}"))?;
                Vec::new()
            }
        };
        let names: Vec<_> = here.iter().map(Image::name).collect();
        if !names.is_empty() {
            self.console.say(&format!("Images that are here already: {}", names.join(", ")))?;
        }
        self.console.say(
            "Images to copy: `usb` for all below images/ on the stick, and the URLs of images, as\n\
             http://10.0.0.9/images/compute/20261124.0800, with spaces between",
        )?;
        let default = if here.is_empty() { None } else { Some("none") };
        self.until("Images:", default, |q, text| Ok(q.images_from(text, settings)))
    }

    fn images_from(&mut self, text: &str, settings: &Settings) -> Result<Vec<Image>, String> {
        let mut found: Vec<Image> = Vec::new();
        if text == "none" {
            return Ok(found);
        }
        for word in text.split_whitespace() {
            let more = match answers::place(word)? {
                Where::Usb => {
                    let dir = self.host.stick()?.join("images");
                    let images = image::in_dir(&dir, self.host)?;
                    if images.is_empty() {
                        return Err("the stick has no images/NAME/VERSION/manifest.json".to_owned());
                    }
                    images
                }
                Where::Url(url) => {
                    self.online(settings)?;
                    let url = url.trim_end_matches("/manifest.json").to_owned();
                    vec![image::at(image::Source::Url(url), self.host)?]
                }
                Where::Paste | Where::Keep => return Err(format!("images cannot be given by `{word}`")),
            };
            found.extend(more);
        }
        if found.is_empty() {
            return Err("write `usb` or a URL: without images there is nothing to boot".to_owned());
        }
        found.retain(|image| !image.is_in(self.images));
        found.sort_by_key(Image::name);
        found.dedup_by(|a, b| a.name() == b.name());
        let other = found.iter().find(|image| image.is_another_in(self.images));
        if let Some(image) = other {
            return Err(format!(
                "another image called {} is here already; a version is one image for ever, so build it with \
                 another --image-version",
                image.name()
            ));
        }
        room(&found, self.host.free())?;
        Ok(found)
    }

    fn fleet(
        &mut self,
        settings: &Settings,
        key: &Key,
        copy: &[Image],
    ) -> Result<(Adopted, BTreeMap<String, Vouched>), Error> {
        let keep = if self.before.is_some() { ", `keep`" } else { "" };
        let question = format!("The fleet file: `usb` for fleet.yaml on the stick, a URL, `paste`{keep}:");
        let default = self.before.is_some().then_some("keep");
        self.until(&question, default, |q, text| {
            let (name, bytes) = match q.fleet_text(text, settings)? {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            };
            let source = match Source::from_utf8(name, bytes) {
                Ok(source) => source,
                Err(wrong) => return Ok(Err(wrong.to_string())),
            };
            for warning in metadata::fleet::check(&source).warnings {
                q.wrong(&format!("warning: {warning}"))?;
            }
            let adopted = adopt(&source, &settings.url(), &key.line);
            Ok(adopted.map_err(|e| e.to_string()).and_then(|mut adopted| {
                let vouched = q.images_are_there(&adopted, copy).map_err(|e| e.to_string())?;
                // What the file names beside itself will not be there.
                apply_ignition(&mut adopted.fleet, Path::new(NOWHERE)).map_err(|e| chain(&e))?;
                Ok((adopted, vouched))
            }))
        })
    }

    /// The text, and what it is called.
    fn fleet_text(
        &mut self,
        text: &str,
        settings: &Settings,
    ) -> Result<Result<(String, Vec<u8>), String>, Error> {
        let place = match answers::place(text) {
            Ok(place) => place,
            Err(why) => return Ok(Err(why)),
        };
        match (place, &self.before) {
            (Where::Paste, _) => {
                self.console.say(&format!("Paste it. A line with only `{END}` is its end."))?;
                Ok(self.console.paste()?.map(|bytes| ("pasted".to_owned(), bytes)))
            }
            (Where::Keep, Some(before)) => Ok(Ok(("fleet.yaml".to_owned(), before.fleet.clone()))),
            (Where::Keep, None) => Ok(Err("there is none to keep".to_owned())),
            (Where::Usb, _) => Ok(self.host.stick().and_then(|dir| {
                let file = dir.join("fleet.yaml");
                let bytes = crate::fleet::read_bytes(&file).map_err(|e| chain(&e))?;
                Ok((file.display().to_string(), bytes))
            })),
            (Where::Url(url), _) => Ok(self.online(settings).and_then(|()| {
                let mut bytes = Vec::new();
                let read = self.host.open(&url)?.take(FLEET_MAX + 1).read_to_end(&mut bytes);
                let read = read.map_err(|e| format!("{url}: {e}"))?;
                if u64::try_from(read).is_ok_and(|n| n > FLEET_MAX) {
                    return Err(format!("{url} is too long to be a fleet file"));
                }
                Ok((url, bytes))
            })),
        }
    }

    /// Each image that a sled has is copied or here, and signed by whom the fleet file says.
    fn images_are_there(
        &mut self,
        adopted: &Adopted,
        copy: &[Image],
    ) -> Result<BTreeMap<String, Vouched>, Diagnostics> {
        let release = release(&adopted.fleet)?;
        let here = image::in_dir(self.images, self.host).unwrap_or_default();
        let is = |image: &Image, choice: &ImageChoice| {
            image.manifest.image == choice.name
                && choice.version.as_ref().is_none_or(|version| *version == image.manifest.version)
        };
        let has = |choice: &ImageChoice| copy.iter().chain(&here).any(|image| is(image, choice));
        let wanted = images(&adopted.fleet);
        let used = here.iter().filter(|image| wanted.keys().any(|choice| is(image, choice)));
        let (mut vouched, mut refused) = (BTreeMap::new(), Vec::new());
        for image in copy.iter().chain(used) {
            match image.claim.signed(&release) {
                Ok(signed) => {
                    let root_hash = image.manifest.root_hash.clone();
                    vouched.insert(image.name(), Vouched { root_hash, signed });
                }
                Err(no) => refused.push(
                    Diagnostic::nowhere(format!("the image {} is not taken", image.name()))
                        .why(no.why())
                        .hint("correct the fleet file, or begin again with Ctrl-C and give another image"),
                ),
            }
        }
        if !refused.is_empty() {
            return Err(Diagnostics(refused));
        }
        let all: Vec<_> = copy.iter().chain(&here).map(Image::name).collect();
        let missing = wanted.into_iter().filter(|(choice, _)| !has(choice));
        let wrong: Vec<_> = missing
            .map(|(choice, place)| {
                Diagnostic::at(&place, format!("there is no image `{choice}`"))
                    .why(format!(
                        "the images are {}",
                        if all.is_empty() { "none".into() } else { all.join(", ") }
                    ))
                    .hint("correct it here, or answer no at the end and give the image")
            })
            .collect();
        if wrong.is_empty() { Ok(vouched) } else { Err(Diagnostics(wrong)) }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
