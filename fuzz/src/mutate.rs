//! One input made of others.

/// Numbers from a seed (xorshift64*): the same seed gives the same inputs.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

/// Values at the limits of what fields can hold.
const EDGES: [u8; 12] = [0, 1, 2, 4, 0x7f, 0x80, 0xfe, 0xff, b'0', b'9', b'-', b'\n'];

/// Changes an input in one to eight places. `other` is another input to take parts of.
pub(crate) fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&str], most: usize, random: &mut Random) {
    for _ in 0..=random.below(4) * random.below(3) {
        one(input, other, words, random);
    }
    input.truncate(most);
}

fn one(input: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let span = random.below(16) + 1;
    let end = (at + span).min(input.len());
    match random.below(11) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let byte = random.byte();
            input.get_mut(at).into_iter().for_each(|b| *b = byte);
        }
        2 => {
            let edge = EDGES[random.below(EDGES.len())];
            input.get_mut(at).into_iter().for_each(|b| *b = edge);
        }
        3 => {
            let edge = if random.below(2) == 0 { 0xff } else { 0 };
            input.get_mut(at..end).into_iter().flatten().take(8).for_each(|b| *b = edge);
        }
        4 => drop(input.drain(at..end)),
        5 => {
            let copy = input.get(at..end).unwrap_or_default().to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        6 => {
            let fresh: Vec<u8> = (0..span).map(|_| random.byte()).collect();
            input.splice(at..at, fresh);
        }
        7 if !other.is_empty() => {
            let from = random.below(other.len());
            let length = random.below(other.len() - from) + 1;
            let part = other.get(from..from + length).unwrap_or_default().to_vec();
            let end = (at + random.below(length + 1)).min(input.len());
            input.splice(at..end, part);
        }
        8 => input.truncate(at),
        9 if !words.is_empty() => {
            let word = words[random.below(words.len())].as_bytes().to_vec();
            let end = if random.below(2) == 0 { at } else { (at + word.len()).min(input.len()) };
            input.splice(at..end, word);
        }
        _ => {
            // A number as text one more, one less, or far away.
            let digit = input.iter().skip(at).position(u8::is_ascii_digit);
            if let Some(byte) = digit.and_then(|d| input.get_mut(at + d)) {
                *byte = b'0' + u8::try_from(random.below(10)).unwrap_or(0);
            }
        }
    }
}
