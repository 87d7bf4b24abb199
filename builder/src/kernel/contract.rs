//! The contracts for NICs and disk controllers: every PCI id a recipe lists has a driver,
//! with all that driver needs, where the recipe wants it. A build that cannot keep one
//! fails, since a sled whose NIC is dead reports to nobody, and one whose disk is not
//! found does not boot.

use std::collections::BTreeSet;
use std::fmt;

use formats::modules::glob;
use serde::Serialize;

use super::catalog::Catalog;
use super::firmware::debian_package;
use super::hint::did_you_mean;
use super::select::Selection;
use crate::recipe::model::{DeviceFamily, PciClass, PciId};

/// What devices a contract is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// `nics:` of a recipe.
    Nics,
    /// `controllers:` of a recipe.
    Controllers,
}

impl Devices {
    /// The PCI base class as drivers' aliases have it.
    pub fn base_class(self) -> &'static str {
        match self {
            Self::Nics => "02",
            Self::Controllers => "01",
        }
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nics => "NIC",
            Self::Controllers => "disk controller",
        })
    }
}

/// What was promised for one family and found to be true, for `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractEntry {
    /// The family's name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// The PCI ids, `vvvv:dddd`.
    pub pci: Vec<String>,
    /// PCI classes, `ccssii`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<String>,
    /// Whether PID 1 has all of it, too.
    pub initramfs: bool,
    /// Files of all modules, below `/usr/lib/modules/<release>/`, by name. Built-in ones have none.
    pub modules: Vec<String>,
    /// Firmware files, below `/usr/lib/firmware/`.
    pub firmware: Vec<String>,
    /// Firmware the driver lists that is not promised, and why.
    pub without_firmware: Vec<Excuse>,
}

/// A firmware file that is not promised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Excuse {
    /// The file.
    pub file: String,
    /// The recipe's reason.
    pub reason: String,
}

/// Where something has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Place {
    /// The image's /usr.
    Usr,
    /// The initramfs.
    Initramfs,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usr => "/usr",
            Self::Initramfs => "the initramfs",
        })
    }
}

/// Something missing for a family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A driver, or a module in `with`, that the kernel does not have.
    #[error(
        "the kernel has no module {module}{hint}; correct `driver:` or `with:`, or choose another `kernel: package:`"
    )]
    NoModule {
        /// Its name.
        module: String,
        /// Names like it.
        hint: String,
    },
    /// No alias of any module has the id.
    #[error(
        "no module serves the PCI id {pci}; a newer kernel may (`kernel: package:`), or the id is mistyped"
    )]
    NoDriver {
        /// The id.
        pci: PciId,
    },
    /// The driver does not serve a class.
    #[error("{driver} does not serve the PCI class {class}; correct `driver:` or `class:`")]
    Class {
        /// The class.
        class: PciClass,
        /// The driver.
        driver: String,
    },
    /// Only other drivers have the id.
    #[error("the PCI id {pci} belongs to {}, not to {wanted}; correct `driver:` or move the id", .found.join(", "))]
    OtherDriver {
        /// The id.
        pci: PciId,
        /// What the recipe says.
        wanted: String,
        /// Who serves it.
        found: Vec<String>,
    },
    /// A module that was left out.
    #[error("the module {module} is not in {place}; {}", match .place {
        Place::Usr => "take the directory it is in out of `kernel: drop:`",
        Place::Initramfs => "the initramfs was planned without this family",
    })]
    ModuleLeftOut {
        /// The module.
        module: String,
        /// Where it should be.
        place: Place,
    },
    /// A firmware file no package of the image has.
    #[error(
        "the firmware {file}, which {module} asks for, is in no package of the image; add {package}, \
         take it out of `exclude:` if it is there, or give a reason to do without in `without-firmware:`",
        package = debian_package(.file)
    )]
    NoFirmware {
        /// The file.
        file: String,
        /// Who asks for it.
        module: String,
    },
    /// A firmware file that was left out.
    #[error("the firmware {file}, which {module} asks for, is not in {place}; {}", match .place {
        Place::Usr => "take it out of `kernel: drop-firmware:`, or give a reason in `without-firmware:`",
        Place::Initramfs => "the initramfs was planned without this family",
    })]
    FirmwareLeftOut {
        /// The file.
        file: String,
        /// Who asks for it.
        module: String,
        /// Where it should be.
        place: Place,
    },
}

/// Everything that is missing, of all families.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {devices} contract cannot be kept with kernel {version}:{}", listing(.problems))]
pub struct ContractError {
    /// What it is about.
    pub devices: Devices,
    /// The kernel's release.
    pub version: String,
    /// The families' names and what they miss.
    pub problems: Vec<(String, Problem)>,
}

fn listing(problems: &[(String, Problem)]) -> String {
    problems.iter().map(|(family, problem)| format!("\n  {family}: {problem}")).collect()
}

/// Checks every family against what is planned for /usr and the initramfs.
///
/// # Errors
/// With all that is missing at once.
pub fn check(
    catalog: &Catalog,
    devices: Devices,
    families: &[DeviceFamily],
    usr: &Selection,
    initramfs: &Selection,
) -> Result<Vec<ContractEntry>, ContractError> {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    let aliases = PciAliases::new(catalog, devices);
    for family in families {
        match check_family(catalog, &aliases, family, usr, initramfs) {
            Ok(entry) => entries.push(entry),
            Err(found) => problems.extend(found.into_iter().map(|problem| (family.name.clone(), problem))),
        }
    }
    if problems.is_empty() {
        return Ok(entries);
    }
    Err(ContractError { devices, version: catalog.version.clone(), problems })
}

fn check_family(
    catalog: &Catalog,
    aliases: &PciAliases<'_>,
    family: &DeviceFamily,
    usr: &Selection,
    initramfs: &Selection,
) -> Result<ContractEntry, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    for name in std::iter::once(&family.driver).chain(&family.with) {
        match catalog.position(name) {
            Some(n) => wanted.push(n),
            None if catalog.is_builtin(name) => {}
            None => {
                let names = catalog.modules().iter().map(|m| m.name.as_str());
                problems.push(Problem::NoModule { module: name.clone(), hint: did_you_mean(name, names) });
            }
        }
    }
    if catalog.position(&family.driver).is_some() || catalog.is_builtin(&family.driver) {
        problems.extend(family.pci.iter().filter_map(|pci| check_id(aliases, *pci, &family.driver)));
        problems.extend(family.class.iter().filter_map(|class| check_class(catalog, *class, &family.driver)));
    }

    let places: &[(Place, &Selection)] = if family.initramfs {
        &[(Place::Usr, usr), (Place::Initramfs, initramfs)]
    } else {
        &[(Place::Usr, usr)]
    };
    let mut entry = ContractEntry {
        name: family.name.clone(),
        driver: family.driver.clone(),
        pci: family.pci.iter().map(PciId::to_string).collect(),
        class: family.class.iter().map(PciClass::to_string).collect(),
        initramfs: family.initramfs,
        modules: Vec::new(),
        firmware: Vec::new(),
        without_firmware: Vec::new(),
    };
    let (mut promised, mut excused) = (BTreeSet::new(), BTreeSet::new());
    for module in catalog.closure(wanted.into_iter()).into_iter().filter_map(|n| catalog.modules().get(n)) {
        entry.modules.push(module.path.clone());
        for (place, selection) in places {
            if !selection.modules.contains(&module.name) {
                problems.push(Problem::ModuleLeftOut { module: module.name.clone(), place: *place });
            }
        }
        let excuse = |file: &str| {
            let mut reasons = family.without_firmware.iter();
            reasons.find(|(glob, _)| glob::matches(glob, file)).map(|(_, reason)| reason.clone())
        };
        let (there, missing) = catalog.firmware_of(module);
        for (file, is_there) in there.iter().map(|f| (f, true)).chain(missing.iter().map(|f| (f, false))) {
            if let Some(reason) = excuse(file) {
                excused.insert(Excuse { file: file.clone(), reason });
                continue;
            }
            if !is_there {
                problems.push(Problem::NoFirmware { file: file.clone(), module: module.name.clone() });
                continue;
            }
            promised.insert(file.clone());
            for (place, selection) in places {
                if !selection.firmware.contains(file) {
                    let (file, module) = (file.clone(), module.name.clone());
                    problems.push(Problem::FirmwareLeftOut { file, module, place: *place });
                }
            }
        }
    }
    entry.modules.sort();
    entry.firmware.extend(promised);
    entry.without_firmware.extend(excused);
    if problems.is_empty() { Ok(entry) } else { Err(problems) }
}

/// What is wrong with the driver of an id.
fn check_id(aliases: &PciAliases<'_>, pci: PciId, driver: &str) -> Option<Problem> {
    let wanted = formats::modules::canonical_name(driver);
    let found = aliases.drivers(pci);
    if found.is_empty() {
        return Some(Problem::NoDriver { pci });
    }
    if found.contains(&wanted) { None } else { Some(Problem::OtherDriver { pci, wanted, found }) }
}

/// The modalias of a PCI device (Linux `scripts/mod/file2alias.c`).
pub fn pci_alias(pci: PciId, class: PciClass) -> String {
    let (PciId { vendor, device }, PciClass([base, sub, interface])) = (pci, class);
    format!("pci:v{vendor:08X}d{device:08X}sv00000000sd00000000bc{base:02X}sc{sub:02X}i{interface:02X}")
}

/// What is wrong with the driver of a class: it has to serve a device of nobody known.
fn check_class(catalog: &Catalog, class: PciClass, driver: &str) -> Option<Problem> {
    let alias = pci_alias(PciId { vendor: 0xffff, device: 0xffff }, class);
    let driver = formats::modules::canonical_name(driver);
    let builtin = catalog
        .builtin
        .get(&driver)
        .is_some_and(|builtin| builtin.aliases.iter().any(|pattern| glob::matches(pattern, &alias)));
    let serves = builtin || catalog.modules_for_alias(&alias).contains(&driver.as_str());
    (!serves).then_some(Problem::Class { class, driver })
}

/// The PCI aliases of all drivers of such devices, taken apart once: a kernel has
/// some ten thousand aliases, and a contract some hundred ids.
struct PciAliases<'c> {
    /// Patterns of vendor and device, and the driver.
    aliases: Vec<(&'c str, &'c str, &'c str)>,
}

impl<'c> PciAliases<'c> {
    fn new(catalog: &'c Catalog, devices: Devices) -> Self {
        let modules = catalog.modules().iter().map(|m| (m.name.as_str(), &m.info.aliases));
        let builtin = catalog.builtin.iter().map(|(name, builtin)| (name.as_str(), &builtin.aliases));
        let aliases = modules.chain(builtin).flat_map(|(name, aliases)| {
            aliases.iter().filter_map(move |alias| {
                let (vendor, device) = device_of(alias, devices)?;
                Some((vendor, device, name))
            })
        });
        Self { aliases: aliases.collect() }
    }

    /// The names of those that serve an id, each once.
    fn drivers(&self, pci: PciId) -> Vec<String> {
        let [vendor, device] = [pci.vendor, pci.device].map(|number| format!("{number:08X}"));
        let serves = |(v, d, _): &&(&str, &str, &str)| glob::matches(v, &vendor) && glob::matches(d, &device);
        let mut found: Vec<String> =
            self.aliases.iter().filter(serves).map(|(_, _, name)| (*name).to_owned()).collect();
        found.dedup();
        found
    }
}

/// The patterns of vendor and device of a PCI alias that may be of such a device.
/// Subsystem and interface may be anything; a class has to be that of the devices. The form is `pci:v…d…sv…sd…bc…sc…i…`, each an upper-case
/// hexadecimal number or `*` (Linux `scripts/mod/file2alias.c`). Drivers for a
/// whole class, whoever made it, say nothing about a card and are left out.
fn device_of(alias: &str, devices: Devices) -> Option<(&str, &str)> {
    let (vendor, rest) = alias.strip_prefix("pci:v")?.split_once('d')?;
    let (device, rest) = rest.split_once("sv")?;
    let (_, class) = rest.split_once("bc")?;
    let (class, _) = class.split_once("sc")?;
    (vendor != "*" && glob::matches(class, devices.base_class())).then_some((vendor, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_aliases() {
        let of = |alias| device_of(alias, Devices::Nics);
        let exact = Some(("00008086", "000010FB"));
        assert_eq!(of("pci:v00008086d000010FBsv*sd*bc*sc*i*"), exact);
        assert_eq!(of("pci:v00008086d000010FBsv00008086sd00000003bc*sc*i*"), exact);
        assert_eq!(of("pci:v00008086d*sv*sd*bc02sc00i*"), Some(("00008086", "*")));
        assert_eq!(of("pci:v00008086d*sv*sd*bc01sc06i01*"), None);
        assert_eq!(of("pci:v*d*sv*sd*bc02sc00i*"), None);
        assert_eq!(of("usb:v8086p10FBd*"), None);
        let disk = |alias| device_of(alias, Devices::Controllers);
        assert_eq!(disk("pci:v00008086d*sv*sd*bc01sc06i01*"), Some(("00008086", "*")));
        assert_eq!(disk("pci:v00008086d*sv*sd*bc02sc00i*"), None);
        assert_eq!(disk("pci:v*d*sv*sd*bc01sc08i02*"), None);
    }

    #[test]
    fn drivers_of_ids() {
        let aliases = PciAliases {
            aliases: vec![
                ("00008086", "000010FB", "ixgbe"),
                ("00008086", "*", "any"),
                ("00008087", "*", "no"),
            ],
        };
        let drivers = |device| aliases.drivers(PciId { vendor: 0x8086, device });
        assert_eq!(drivers(0x10fb), ["ixgbe", "any"]);
        assert_eq!(drivers(0x10fc), ["any"]);
    }
}
