//! PE/COFF images as UEFI loads them: adding sections, and their checksum.
//!
//! Microsoft "PE Format": <https://learn.microsoft.com/windows/win32/debug/pe-format>.
//! Only 64-bit images (PE32+); all numbers are little-endian.

use object::LittleEndian as LE;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_SECURITY, IMAGE_SCN_CNT_INITIALIZED_DATA, IMAGE_SCN_MEM_READ, ImageDataDirectory,
    ImageDosHeader, ImageNtHeaders64, ImageSectionHeader,
};
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, SectionTable};

/// Bytes of one entry of the section table.
const SECTION_HEADER: usize = size_of::<ImageSectionHeader>();

/// Why an image cannot be read or extended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Damaged, or no 64-bit PE image.
    #[error("not a readable 64-bit PE image")]
    NotPe(#[source] object::read::Error),
    /// A header says something impossible.
    #[error("a damaged PE image: {0}")]
    Damaged(&'static str),
    /// The section table cannot grow: the first section's bytes start right after it.
    #[error(
        "the PE image has room for {room} more sections and {wanted} are to be added; leave out optional \
         sections or use a systemd-stub of another version"
    )]
    NoRoom {
        /// How many more fit.
        room: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// Two sections of one name: a boot loader would take either.
    #[error("the section {0} is there already; a stub has no sections of its own by this name")]
    Duplicate(String),
    /// A section name is longer than the 8 bytes of the section table.
    #[error("the section name {0:?} is not 1 to 8 bytes long")]
    BadName(String),
    /// The image would pass 4 GiB.
    #[error("the PE image with its sections would be larger than 4 GiB")]
    TooLarge,
}

impl From<object::read::Error> for Error {
    fn from(error: object::read::Error) -> Self {
        Self::NotPe(error)
    }
}

/// A section of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Name, at most 8 bytes: `.linux`.
    pub name: &'a str,
    /// Address in memory, relative to the image.
    pub address: u32,
    /// Its bytes, without the padding in the file.
    pub data: &'a [u8],
}

/// The headers of an image.
struct Headers<'a> {
    nt: &'a ImageNtHeaders64,
    sections: SectionTable<'a>,
    /// Offset of the NT headers in the file.
    nt_offset: usize,
    /// Offset of the section table in the file.
    table_offset: usize,
}

impl<'a> Headers<'a> {
    fn parse(image: &'a [u8]) -> Result<Self, Error> {
        let dos = ImageDosHeader::parse(image)?;
        let nt_offset = usize_of(dos.nt_headers_offset());
        let mut offset = u64::from(dos.nt_headers_offset());
        let (nt, _) = ImageNtHeaders64::parse(image, &mut offset)?;
        let table_offset = usize::try_from(offset).map_err(|_| Error::TooLarge)?;
        let sections = nt.sections(image, offset)?;
        Ok(Self { nt, sections, nt_offset, table_offset })
    }
}

/// The sections of an image, in the order of its table.
///
/// # Errors
/// When it is no PE image, or a section lies outside of it.
pub fn sections(image: &[u8]) -> Result<Vec<Section<'_>>, Error> {
    let headers = Headers::parse(image)?;
    headers
        .sections
        .iter()
        .map(|section| {
            let raw = section.pe_data(image)?;
            // Padding in the file is not part of the section; bytes that are only in memory are zero.
            let size = usize_of(section.virtual_size.get(LE)).min(raw.len());
            let name = std::str::from_utf8(section.raw_name())
                .map_err(|_| Error::Damaged("a section name is not text"))?;
            let data = raw.get(..size).ok_or(Error::Damaged("a section lies outside of the file"))?;
            Ok(Section { name, address: section.virtual_address.get(LE), data })
        })
        .collect()
}

/// Adds read-only data sections behind those of an image, in order, each at the
/// next free address. Debug symbols and a signature are dropped, the
/// timestamp is set to 0, the checksum is made right.
///
/// # Errors
/// See [`Error`].
pub fn add_sections(image: &[u8], added: &[(&str, &[u8])]) -> Result<Vec<u8>, Error> {
    let headers = Headers::parse(image)?;
    let present = sections(image)?;
    for (n, (name, _)) in added.iter().enumerate() {
        if name.is_empty() || name.len() > 8 {
            return Err(Error::BadName((*name).to_owned()));
        }
        let earlier = added.iter().take(n).map(|(name, _)| *name);
        if present.iter().map(|s| s.name).chain(earlier).any(|other| other == *name) {
            return Err(Error::Duplicate((*name).to_owned()));
        }
    }

    let optional = &headers.nt.optional_header;
    // The format allows file alignments up to 64 KiB; the limit keeps damage from filling memory.
    let file_alignment = alignment(optional.file_alignment(), 64 << 10)?;
    let section_alignment = alignment(optional.section_alignment(), 1 << 31)?;
    let size_of_headers = usize_of(optional.size_of_headers());
    let old_count = headers.sections.len();
    let old_table_end = headers.table_offset + old_count * SECTION_HEADER;
    let first_raw = headers.sections.iter().map(|s| s.pointer_to_raw_data.get(LE)).filter(|at| *at > 0).min();
    let headers_end = size_of_headers.min(first_raw.map_or(size_of_headers, usize_of)).min(image.len());
    let room = headers_end.saturating_sub(old_table_end) / SECTION_HEADER;
    if added.len() > room {
        return Err(Error::NoRoom { room, wanted: added.len() });
    }

    // What is behind the last section is symbols or a signature; neither is mapped.
    let mut end = headers_end;
    let mut address = optional.size_of_headers();
    for section in headers.sections.iter() {
        let (raw, size) = section.pe_file_range();
        end = end.max(usize_of(raw).saturating_add(usize_of(size)));
        let memory = section.virtual_size.get(LE).max(section.size_of_raw_data.get(LE));
        address = address.max(section.virtual_address.get(LE).checked_add(memory).ok_or(Error::TooLarge)?);
    }
    let mut out = image.get(..end).ok_or(Error::Damaged("a section lies outside of the file"))?.to_vec();

    let mut data_size = optional.size_of_initialized_data();
    for (n, (name, data)) in added.iter().enumerate() {
        out.resize(out.len().next_multiple_of(usize_of(file_alignment)), 0);
        address = round_up(address, section_alignment)?;
        let raw_at = u32_of(out.len())?;
        let size = u32_of(data.len())?;
        let raw_size = round_up(size, file_alignment)?;
        let mut header = [0_u8; SECTION_HEADER];
        put(&mut header, 0, name.as_bytes());
        put(&mut header, 8, &size.to_le_bytes());
        put(&mut header, 12, &address.to_le_bytes());
        put(&mut header, 16, &raw_size.to_le_bytes());
        put(&mut header, 20, &raw_at.to_le_bytes());
        let flags = IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ;
        put(&mut header, 36, &flags.0.to_le_bytes());
        put(&mut out, old_table_end + n * SECTION_HEADER, &header);
        out.extend_from_slice(data);
        out.resize(usize_of(raw_at).saturating_add(usize_of(raw_size)), 0);
        address = address.checked_add(size).ok_or(Error::TooLarge)?;
        data_size = data_size.checked_add(raw_size).ok_or(Error::TooLarge)?;
    }
    u32_of(out.len())?;

    // Offsets in the headers: PE Format, "COFF File Header" and "Optional Header".
    let coff = headers.nt_offset + 4;
    let optional_at = coff + 20;
    let count = u16::try_from(old_count + added.len()).map_err(|_| Error::TooLarge)?;
    put(&mut out, coff + 2, &count.to_le_bytes());
    put(&mut out, coff + 4, &0_u32.to_le_bytes()); // timestamp
    put(&mut out, coff + 8, &[0; 8]); // symbol table and its length
    put(&mut out, optional_at + 8, &data_size.to_le_bytes());
    put(&mut out, optional_at + 56, &round_up(address, section_alignment)?.to_le_bytes());
    let directories = optional_at + 112;
    if usize_of(optional.number_of_rva_and_sizes()) > IMAGE_DIRECTORY_ENTRY_SECURITY {
        let none = [0; size_of::<ImageDataDirectory>()];
        put(&mut out, directories + IMAGE_DIRECTORY_ENTRY_SECURITY * none.len(), &none);
    }
    let checksum_at = optional_at + 64;
    put(&mut out, checksum_at, &[0; 4]);
    let sum = checksum(&out, u32_of(out.len())?);
    put(&mut out, checksum_at, &sum.to_le_bytes());
    Ok(out)
}

/// The image checksum: the 16-bit words added up with end-around carry, plus
/// the length of the file. The checksum's own field must be zero.
fn checksum(image: &[u8], len: u32) -> u32 {
    let mut sum = 0_u32;
    for word in image.chunks(2) {
        let (low, high) = (word.first().copied().unwrap_or(0), word.get(1).copied().unwrap_or(0));
        sum += u32::from(u16::from_le_bytes([low, high]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum.wrapping_add(len)
}

/// Writes `bytes` at `at`; callers have checked that the headers are within the file.
fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at.saturating_add(bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

fn alignment(value: u32, most: u32) -> Result<u32, Error> {
    if value.is_power_of_two() && value <= most {
        Ok(value)
    } else {
        Err(Error::Damaged("an alignment that the format does not allow"))
    }
}

fn round_up(value: u32, to: u32) -> Result<u32, Error> {
    value.checked_next_multiple_of(to).ok_or(Error::TooLarge)
}

fn u32_of(value: usize) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::TooLarge)
}

/// A `u32` as a length; targets with 16-bit lengths do not build PE images.
fn usize_of(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
