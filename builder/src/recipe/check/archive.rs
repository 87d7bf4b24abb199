//! `debian:` and `repositories:`.

use super::{Context, file, texts};
use crate::recipe::model::{Debian, Repository};
use crate::recipe::values;
use yaml::{Cursor, Wrong};

pub(super) fn debian(at: Cursor<'_>, cx: Context<'_>) -> Option<Debian> {
    let fields = at.fields()?;
    let suite = fields.required("suite", |at| at.text(values::archive_part));
    let extra_suites = fields.or("extra-suites", Vec::new(), |at| texts(at, values::archive_part));
    let components = fields.or("components", vec!["main".to_owned()], archive_components);
    let arch = fields.or("arch", "amd64".to_owned(), |at| at.text(values::arch));
    let keyring = fields.optional("keyring", |at| file(at, cx));
    let recommends = fields.or("recommends", false, |at| at.boolean());
    fields.finish();
    Some(Debian {
        suite: suite?,
        extra_suites: extra_suites?,
        components: components?,
        arch: arch?,
        keyring: keyring?,
        recommends: recommends?,
    })
}

pub(super) fn repositories(at: Cursor<'_>, cx: Context<'_>) -> Option<Vec<Repository>> {
    at.list(|at| {
        let fields = at.fields()?;
        let name = fields.required("name", |at| match at.text(values::plain_name)?.as_str() {
            "debian" => at.wrong(
                Wrong::new("a repository cannot be called `debian`")
                    .why("the lock calls the Debian archive so"),
            ),
            name => Some(name.to_owned()),
        });
        let url = fields.required("url", |at| at.text(values::url));
        let suite = fields.required("suite", |at| at.text(values::archive_part));
        let components = fields.required("components", archive_components);
        let keyring = fields.required("keyring", |at| file(at, cx));
        fields.finish();
        Some(Repository { name: name?, url: url?, suite: suite?, components: components?, keyring: keyring? })
    })
}

fn archive_components(at: Cursor<'_>) -> Option<Vec<String>> {
    match texts(at.clone(), values::archive_part)? {
        list if list.is_empty() => {
            at.wrong(Wrong::new(format!("`{}` is empty", at.name)).hint("like `[main]`"))
        }
        list => Some(list),
    }
}
