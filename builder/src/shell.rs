//! The simple commands of a maintainer script, with its literal variables and loops over
//! words filled in. Nothing is run.
//!
//! This is no shell: conditions are taken for true and functions for their bodies. A word
//! whose value only a run would show keeps its `$` or `` ` ``, so that whoever looks for
//! literal paths passes it over.

use std::collections::BTreeMap;

/// Commands of one script; a script with more was made to take long.
const MAX_COMMANDS: usize = 20_000;
/// Loops within loops.
const MAX_DEPTH: usize = 4;

/// A command and its words. Redirections are words of their own: `>`, `/etc/x`.
pub type Command = Vec<String>;

/// Words before a command that are grammar.
const GRAMMAR: [&str; 9] = ["if", "then", "else", "elif", "do", "!", "{", "while", "until"];

/// Words that end what such words began.
const END: [&str; 4] = ["fi", "done", "esac", "}"];

/// The commands of a script.
pub fn commands(script: &str) -> Vec<Command> {
    let mut out = Vec::new();
    let split = split(script);
    run(&split, &mut BTreeMap::new(), 0, &mut out);
    out
}

/// A command's words without grammar before it.
fn plain(command: &[String]) -> &[String] {
    let first = command.iter().position(|word| !GRAMMAR.contains(&word.as_str()));
    first.and_then(|first| command.get(first..)).unwrap_or_default()
}

fn run(all: &[Command], variables: &mut BTreeMap<String, String>, depth: usize, out: &mut Vec<Command>) {
    let mut rest = all;
    while let Some((command, after)) = rest.split_first() {
        rest = after;
        let mut words = plain(command);
        if out.len() >= MAX_COMMANDS {
            return;
        }
        if let [word, name, of, values @ ..] = words
            && (word, of) == (&"for".to_owned(), &"in".to_owned())
        {
            let end = body(after);
            let (inner, behind) = after.split_at(end);
            rest = behind;
            let values: Vec<String> = values.iter().map(|value| expand(value, variables)).collect();
            for value in values.iter().flat_map(|value| value.split_ascii_whitespace()) {
                let value = value.to_owned();
                variables.insert(name.clone(), value);
                if depth < MAX_DEPTH && out.len() < MAX_COMMANDS {
                    run(inner, variables, depth + 1, out);
                }
            }
            variables.remove(name);
            continue;
        }
        while let Some((first, others)) = words.split_first()
            && let Some((name, value)) = assignment(first)
        {
            let value = expand(value, variables);
            // What is long is no path; and doubling it in each line would fill the memory.
            match value.len() < 4096 && !value.contains(['$', '`']) {
                true => variables.insert(name.to_owned(), value),
                false => variables.remove(name),
            };
            words = others;
        }
        if words.first().is_some_and(|word| !END.contains(&word.as_str())) {
            out.push(words.iter().map(|word| expand(word, variables)).collect());
        }
    }
}

/// Number of commands up to the `done` of a loop.
fn body(commands: &[Command]) -> usize {
    let mut depth = 1;
    for (at, command) in commands.iter().enumerate() {
        let loops = |word: &&String| matches!(word.as_str(), "for" | "while" | "until");
        let words = command.iter().take_while(|word| GRAMMAR.contains(&word.as_str()) || loops(word));
        depth += words.filter(loops).count();
        if command.first().is_some_and(|word| word == "done") {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    commands.len()
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(letter))
        .then_some((name, value))
}

/// Fills in `$name` and `${name}`; others stay as they are.
fn expand(word: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        let (name, behind) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        match variables.get(name) {
            Some(value) => out += value,
            None => {
                out += "$";
                out += after.get(..after.len() - behind.len()).unwrap_or_default();
            }
        }
        rest = behind;
    }
    out + rest
}

/// A script's words, by command. Comments and the text of here-documents are left out.
fn split(script: &str) -> Vec<Command> {
    let mut all: Vec<Command> = Vec::new();
    let (mut command, mut word): (Command, Option<String>) = (Vec::new(), None);
    let mut here: Vec<String> = Vec::new();
    let mut chars = script.chars().peekable();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => match chars.next() {
                None | Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
            },
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            (None, '$') if chars.peek() == Some(&'(') => {
                // Its value is not known, and its commands are looked at like all others.
                chars.next();
                word.get_or_insert_default().push('$');
                command.extend(word.take());
                all.push(std::mem::take(&mut command));
            }
            (None, ' ' | '\t') => command.extend(word.take()),
            (None, '<' | '>') => {
                command.extend(word.take().filter(|word| !word.chars().all(|c| c.is_ascii_digit())));
                let mut sign = String::from(c);
                while let Some(more) = chars.next_if(|next| "<>&-".contains(*next)) {
                    sign.push(more);
                }
                let is_here = sign == "<<" || sign == "<<-";
                command.push(sign);
                if is_here {
                    while chars.next_if(|c| " \t".contains(*c)).is_some() {}
                    let mut end = String::new();
                    while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != ';') {
                        end.push(c);
                    }
                    here.push(end.trim_matches(['"', '\'', '\\']).to_owned());
                }
            }
            (None, '\n' | ';' | '&' | '|' | '(' | ')') => {
                command.extend(word.take());
                if !command.is_empty() {
                    all.push(std::mem::take(&mut command));
                }
                if c == '\n' {
                    for end in here.drain(..) {
                        skip_here(&mut chars, &end);
                    }
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    command.extend(word);
    if !command.is_empty() {
        all.push(command);
    }
    all
}

fn skip_here(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, end: &str) {
    loop {
        let line: String = std::iter::from_fn(|| chars.next_if(|c| *c != '\n')).collect();
        if chars.next().is_none() || line.trim_matches('\t') == end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(script: &str) -> Vec<String> {
        commands(script).iter().map(|command| command.join(" ")).collect()
    }

    #[test]
    fn variables_loops_and_continuations_are_filled_in() {
        let script = "#!/bin/sh\nset -e\nbindir=/usr/bin; prio=\"50\"\nif [ -e x ]; then # why\n  \
            update-alternatives --quiet --install \"$bindir/mailx\" mailx ${bindir}/bsd-mailx $prio \\\n    --slave /m m /n\nfi\n\
            for i in vi 'v i'; do\n  for j in 1 2; do link /usr/bin/$i $j; done\ndone\n\
            cat > /etc/x <<EOF\nrm -rf / # not a command\nEOF\ny=$(date)\ntouch /etc/$y \"$i\" 2>/dev/null\n";
        assert_eq!(
            texts(script),
            [
                "set -e",
                "[ -e x ]",
                "update-alternatives --quiet --install /usr/bin/mailx mailx /usr/bin/bsd-mailx 50 --slave /m m /n",
                "link /usr/bin/vi 1",
                "link /usr/bin/vi 2",
                "link /usr/bin/v 1",
                "link /usr/bin/v 2",
                "link /usr/bin/i 1",
                "link /usr/bin/i 2",
                "cat > /etc/x <<",
                "date",
                "touch /etc/$y $i > /dev/null",
            ]
        );
    }

    #[test]
    fn a_script_made_to_take_long_ends() {
        let loops = "for a in 1 2 3 4 5 6 7 8 9 0; do ".repeat(30);
        assert!(commands(&format!("{loops} x")).len() <= MAX_COMMANDS);
        let doubling = "a=xx\n".to_owned() + &"a=$a$a\n".repeat(100) + "echo $a";
        assert!(commands(&doubling).iter().flatten().all(|word| word.len() < 10_000));
    }

    proptest! {
        #[test]
        fn anything_is_read(script in "[-a-z$(){};\"'`\\\\#<> \n=&|0-9]{0,200}") {
            let _ = commands(&script);
        }
    }
}
