//! The lists the kernel's build leaves beside the modules.
//!
//! Linux `Documentation/kbuild/kbuild.rst`.

/// The paths in `modules.order`, in order. Names end in `.ko` even where the
/// files are compressed.
pub fn order(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty())
}

/// The module names in `modules.builtin`, with underscores, in the file's order.
pub fn builtin(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(super::name_of_file)
}

/// One string of `modules.builtin.modinfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinField<'a> {
    /// The module that is built in.
    pub module: &'a str,
    /// `alias`, `firmware`…
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// The strings of `modules.builtin.modinfo`: `module.key=value`, NUL-terminated.
/// Strings of another shape, and such that are not UTF-8, are left out.
pub fn builtin_modinfo(bytes: &[u8]) -> impl Iterator<Item = BuiltinField<'_>> {
    bytes.split(|b| *b == 0).filter_map(|field| {
        let (module, rest) = std::str::from_utf8(field).ok()?.split_once('.')?;
        let (key, value) = rest.split_once('=')?;
        Some(BuiltinField { module, key, value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let bytes = b"a.alias=x.y=z\0nothing\0b.firmware=f/g.bin\0\0";
        let fields: Vec<_> = builtin_modinfo(bytes).map(|f| (f.module, f.key, f.value)).collect();
        assert_eq!(fields, [("a", "alias", "x.y=z"), ("b", "firmware", "f/g.bin")]);
    }
}
