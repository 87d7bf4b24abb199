//! `update-alternatives --install` in a postinst, by debhelper or by hand.

use crate::shell;

/// A link that update-alternatives manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Absolute path of the link.
    pub(super) link: String,
    /// Its name in /etc/alternatives.
    pub(super) name: String,
    /// Absolute path it may lead to.
    pub(super) path: String,
}

/// A provider of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) main: Link,
    /// The highest wins.
    pub(super) priority: i64,
    /// Links that go with it.
    pub(super) slaves: Vec<Link>,
}

/// All providers that a script installs. What only a run would tell is left out.
pub(super) fn installs(postinst: &str) -> Vec<Install> {
    if !postinst.contains("update-alternatives") {
        return Vec::new();
    }
    shell::commands(postinst).iter().filter_map(|command| install(command)).collect()
}

fn install(command: &[String]) -> Option<Install> {
    let (program, arguments) = command.split_first()?;
    if program.rsplit('/').next() != Some("update-alternatives") {
        return None;
    }
    let at = arguments.iter().position(|word| word == "--install")?;
    let (main, mut rest) = link(arguments.get(at + 1..)?)?;
    let (priority, more) = rest.split_first()?;
    let priority = priority.parse().ok()?;
    rest = more;
    let mut slaves = Vec::new();
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        // `--follower` is its other name.
        if (word == "--slave" || word == "--follower")
            && let Some((slave, after)) = link(rest)
        {
            slaves.push(slave);
            rest = after;
        }
    }
    Some(Install { main, priority, slaves })
}

fn link(words: &[String]) -> Option<(Link, &[String])> {
    let [link, name, path, rest @ ..] = words else { return None };
    let known = |word: &String| !word.contains(['$', '`', '\n']);
    let literal = [link, path].iter().all(|word| word.starts_with('/') && known(word)) && known(name);
    literal.then(|| (Link { link: link.clone(), name: name.clone(), path: path.clone() }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debhelpers_and_handmade_ones_are_read() {
        let found = installs(
            "for p in vim.tiny vim.basic; do update-alternatives --install /usr/bin/vi vi /usr/bin/$p 30; done\n\
             update-alternatives --remove x /x\n/usr/bin/update-alternatives --force --install /usr/bin/w w /usr/bin/w.procps 50 \\\n\
             \t--slave /m/w w.1 /m/w.procps || true\nupdate-alternatives --install /a b $(where) 5\n\
             update-alternatives --install /a b\n",
        );
        let short: Vec<_> =
            found.iter().map(|i| (i.main.path.as_str(), i.priority, i.slaves.len())).collect();
        assert_eq!(
            short,
            [("/usr/bin/vim.tiny", 30, 0), ("/usr/bin/vim.basic", 30, 0), ("/usr/bin/w.procps", 50, 1)]
        );
    }
}
