//! What a sled knows of its fleet before it has met a server: from the image, the
//! command line and the OEM partition. Pure.

use crate::options::Options;
use formats::initconf::InitConf;
use metadata::layout::WORDS;
use metadata::signature::TrustedKey;

/// Where the OEM partition keeps its part: parameters as on the command line, one a line.
pub const OEM_FILE: &str = "sledos.conf";

/// Whom to trust, whom to ask, and by what.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Keys that may sign this sled's document. Without one nobody is asked.
    pub trust: Vec<TrustedKey>,
    /// URLs below which documents lie, in order.
    pub metadata: Vec<String>,
    /// URLs that reports go to; empty: the metadata URLs.
    pub report: Vec<String>,
    /// URLs of directories with this image's artefacts.
    pub image: Vec<String>,
    /// By what to ask, in order: words of [`WORDS`].
    pub identify: Vec<String>,
    /// Where the sled sits, if somebody said so.
    pub location: Option<(String, u32)>,
    /// Whether a server must say of each document that it is the newest.
    pub fresh_only: bool,
}

impl Site {
    /// Puts together what the image, the command line and the OEM partition (the text
    /// of [`OEM_FILE`], if there is one) say. Also returns what was not understood,
    /// one line each.
    ///
    /// Lists add up, the command line first. Keys of the OEM partition count only when
    /// there is no other key: that partition is not verified, and must not be able to
    /// make an image that has keys trust one more.
    pub fn new(conf: &InitConf, line: &Options, oem: Option<&str>) -> (Self, Vec<String>) {
        let (oem, mut warnings) = oem.map(Options::parse).unwrap_or_default();
        warnings.iter_mut().for_each(|warning| *warning = format!("{OEM_FILE} of OEM: {warning}"));
        let mut site = Self::default();
        let mut keys: Vec<_> = line.trust.iter().chain(&conf.trust).collect();
        if keys.is_empty() {
            keys.extend(&oem.trust);
        }
        for key in keys {
            match TrustedKey::parse(key) {
                Ok(key) if site.trust.iter().any(|k| k.as_str() == key.as_str()) => {}
                Ok(key) => site.trust.push(key),
                Err(error) => warnings.push(error.to_string()),
            }
        }
        add_up(&mut site.metadata, [&line.metadata, &oem.metadata, &conf.metadata]);
        add_up(&mut site.report, [&line.report, &oem.report]);
        add_up(&mut site.image, [&line.image, &oem.image]);
        let default = WORDS.map(str::to_owned).to_vec();
        let orders = [&line.identify, &oem.identify, &conf.identify, &default];
        site.identify = orders.into_iter().find(|order| !order.is_empty()).cloned().unwrap_or_default();
        site.location = line.location.clone().or(oem.location);
        site.fresh_only = line.fresh_only || oem.fresh_only || conf.fresh_only;
        (site, warnings)
    }

    /// Whether the sled asks for a document: it can only believe one that is signed.
    pub fn asks(&self) -> bool {
        !self.trust.is_empty()
    }

    /// Where reports go.
    pub fn reports(&self) -> &[String] {
        if self.report.is_empty() { &self.metadata } else { &self.report }
    }

    /// What to keep on the OEM partition, so that the sled finds its fleet again when
    /// nobody gives it a command line.
    pub fn oem_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| text.push_str(&format!("sledos.{name}={value}\n"));
        self.trust.iter().for_each(|key| line("trust", key.as_str()));
        self.metadata.iter().for_each(|url| line("metadata", url));
        self.report.iter().for_each(|url| line("report", url));
        line("identify", &self.identify.join(","));
        if let Some((rack, bay)) = &self.location {
            line("location", &format!("{rack}/{bay}"));
        }
        if self.fresh_only {
            line("freshness", "required");
        }
        text
    }
}

fn add_up<const N: usize>(to: &mut Vec<String>, from: [&Vec<String>; N]) {
    for value in from.into_iter().flatten() {
        if !to.contains(value) {
            to.push(value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const OTHER: &str = "RWQf6LRDGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn keys(site: &Site) -> Vec<&str> {
        site.trust.iter().map(TrustedKey::as_str).collect()
    }

    #[test]
    fn the_command_line_comes_first_and_lists_add_up() {
        let conf = InitConf {
            metadata: vec!["http://c".into(), "http://a".into()],
            trust: vec![KEY.into()],
            identify: vec!["board".into()],
            ..InitConf::default()
        };
        let (line, _) = Options::parse("sledos.metadata=http://a sledos.location=r1/2");
        let (site, warnings) =
            Site::new(&conf, &line, Some("sledos.metadata=http://b\nsledos.identify=mac\n"));
        assert_eq!(site.metadata, ["http://a", "http://b", "http://c"]);
        assert_eq!(site.reports(), site.metadata);
        assert_eq!((site.identify, warnings), (vec!["mac".to_owned()], vec![]));
        assert_eq!(site.location, Some(("r1".into(), 2)));
    }

    #[test]
    fn an_unverified_partition_adds_no_key_to_an_image_that_has_one() {
        let oem = format!("sledos.trust={OTHER}");
        let with = InitConf { trust: vec![KEY.into()], ..InitConf::default() };
        assert_eq!(keys(&Site::new(&with, &Options::default(), Some(&oem)).0), [KEY]);
        assert_eq!(keys(&Site::new(&InitConf::default(), &Options::default(), Some(&oem)).0), [OTHER]);
    }

    #[test]
    fn what_is_kept_on_oem_is_read_again() {
        let (line, _) = Options::parse(&format!(
            "sledos.trust={KEY} sledos.metadata=http://a sledos.report=http://r sledos.location=r1/2 sledos.identify=mac,uuid sledos.freshness=required"
        ));
        let (site, _) = Site::new(&InitConf::default(), &line, None);
        let (again, warnings) = Site::new(&InitConf::default(), &Options::default(), Some(&site.oem_text()));
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(
            (keys(&again), &again.metadata, &again.report),
            (keys(&site), &site.metadata, &site.report)
        );
        assert_eq!((again.identify, again.location), (site.identify, site.location));
        assert!(site.fresh_only && again.fresh_only);
    }

    #[test]
    fn what_one_of_them_requires_is_required() {
        let (yes, no) = (Options::parse("sledos.freshness=required").0, Options::default());
        let image = InitConf { fresh_only: true, ..InitConf::default() };
        let fresh_only = |conf: &InitConf, line, oem| Site::new(conf, line, oem).0.fresh_only;
        assert!(!fresh_only(&InitConf::default(), &no, Some("")));
        assert!(fresh_only(&image, &no, None) && fresh_only(&InitConf::default(), &yes, None));
        assert!(fresh_only(&InitConf::default(), &no, Some("sledos.freshness=required\n")));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let (line, _) = Options::parse("sledos.trust=x");
        let (site, warnings) = Site::new(&InitConf::default(), &line, Some("sledos.metdata=http://a"));
        assert!(site.trust.is_empty());
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("sledos.conf of OEM: sledos.metdata"), "{warnings:?}");
    }
}
