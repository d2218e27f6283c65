//! Heads of answers that were given before: a program gives the same few again and again, and what is known of one need not be
//! checked and encoded again.

use bytes::BytesMut;
use trilane_http3::Priority;

/// Heads that are remembered.
const MOST_HEADS: usize = 8;

/// The longest head that is remembered: the bytes of its names and values.
const MOST_BYTES: usize = 512;

/// One in so many heads that are not known is remembered, the first among them: a program whose heads are all different does
/// little for nothing.
const LEARN_EVERY: u32 = 8;

/// The heads that one encoder remembers.
#[derive(Debug, Default)]
pub(crate) struct KnownHeads {
    heads: Vec<Head>,
    /// Where the last one was found.
    last: usize,
    unknown: u32,
    learned: u32,
}

#[derive(Debug, Default)]
struct Head {
    /// Tells it from others that were at its place.
    serial: u32,
    status: u16,
    priority: Priority,
    /// Names and values, one behind the other.
    text: Vec<u8>,
    /// The lengths of each name and its value.
    lengths: Vec<(usize, usize)>,
    /// The status and the fields, encoded.
    lines: BytesMut,
}

/// A head that is known: its fields may be sent, and have neither `content-length` nor `date`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    index: usize,
    serial: u32,
    /// What its fields say of the priority of the answer.
    pub(crate) priority: Priority,
}

impl KnownHeads {
    /// What is known of the head with this status and exactly these fields.
    #[inline]
    pub(crate) fn find<'a>(
        &mut self,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Option<Known> {
        let is_it = |head: &Head| head.status == status && head.has(fields.clone());
        if !self.heads.get(self.last).is_some_and(is_it) {
            self.last = self.heads.iter().position(is_it)?;
        }
        let head = &self.heads[self.last];
        Some(Known {
            index: self.last,
            serial: head.serial,
            priority: head.priority,
        })
    }

    /// Remembers a head whose fields may be sent, at times.
    pub(crate) fn learn<'a>(
        &mut self,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        priority: Priority,
    ) {
        let is_turn = self.unknown.is_multiple_of(LEARN_EVERY);
        self.unknown = self.unknown.wrapping_add(1);
        let bytes: usize = fields.clone().map(|(name, value)| name.len() + value.len()).sum();
        let has_own = |(name, _): (&[u8], _)| name == b"date" || name == b"content-length";
        if !is_turn || bytes > MOST_BYTES || fields.clone().any(has_own) {
            return;
        }
        self.learned = self.learned.wrapping_add(1);
        if self.heads.len() < MOST_HEADS {
            self.heads.push(Head::default());
        }
        let place = self.learned as usize % self.heads.len();
        let head = &mut self.heads[place];
        head.serial = self.learned;
        head.status = status;
        head.priority = priority;
        head.text.clear();
        head.lengths.clear();
        head.lines.clear();
        for (name, value) in fields.clone() {
            head.text.extend_from_slice(name);
            head.text.extend_from_slice(value);
            head.lengths.push((name.len(), value.len()));
        }
        trilane_http3::write_response_lines(&mut head.lines, status, fields);
    }

    /// Its encoded lines; `None`: another one is in its place by now.
    #[inline]
    pub(crate) fn lines(&self, known: Known) -> Option<&[u8]> {
        let head = self.heads.get(known.index)?;
        (head.serial == known.serial).then_some(&head.lines)
    }
}

impl Head {
    #[inline]
    fn has<'a>(&self, mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
        let mut rest = &self.text[..];
        for &(name_length, value_length) in &self.lengths {
            let (own_name, behind) = rest.split_at(name_length);
            let (own_value, behind) = behind.split_at(value_length);
            rest = behind;
            match fields.next() {
                Some((name, value)) if name == own_name && value == own_value => {}
                _ => return false,
            }
        }
        fields.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

    const PLAIN: Fields<'static> = &[(b"content-type", b"text/plain"), (b"vary", b"*")];

    fn knowing(fields: Fields<'_>) -> KnownHeads {
        let mut heads = KnownHeads::default();
        heads.learn(200, fields.iter().copied(), Priority::default());
        heads
    }

    fn knows(heads: &mut KnownHeads, status: u16, fields: Fields<'_>) -> bool {
        heads.find(status, fields.iter().copied()).is_some()
    }

    #[test]
    fn a_head_is_known_by_its_status_and_all_of_its_fields() {
        let mut heads = knowing(PLAIN);
        assert!(knows(&mut heads, 200, PLAIN));
        assert!(!knows(&mut heads, 201, PLAIN));
        assert!(!knows(&mut heads, 200, &PLAIN[..1]));
        assert!(!knows(&mut heads, 200, &[PLAIN[0], PLAIN[1], PLAIN[1]]));
        assert!(!knows(&mut heads, 200, &[PLAIN[1], PLAIN[0]]));
        // The same bytes in other places.
        assert!(!knows(
            &mut heads,
            200,
            &[(b"content-typet", b"ext/plain"), PLAIN[1]]
        ));
        assert!(!knows(&mut heads, 200, &[]));
    }

    #[test]
    fn a_head_that_is_long_or_has_a_length_or_a_date_is_not_remembered() {
        let long = [b'v'; MOST_BYTES];
        let own: [(&[u8], &[u8]); 3] = [(b"content-length", b"1"), (b"date", b"now"), (b"x", &long)];
        for field in own {
            assert!(!knows(&mut knowing(&[field]), 200, &[field]), "{field:?}");
        }
    }

    #[test]
    fn the_oldest_of_the_remembered_heads_makes_way_and_is_not_taken_for_another() {
        let mut heads = knowing(PLAIN);
        let known = heads.find(200, PLAIN.iter().copied()).unwrap();
        assert!(heads.lines(known).is_some());
        for number in 0..MOST_HEADS as u32 * LEARN_EVERY {
            let value = number.to_string();
            heads.learn(
                200,
                [(&b"x"[..], value.as_bytes())].into_iter(),
                Priority::default(),
            );
        }
        assert_eq!(heads.heads.len(), MOST_HEADS);
        assert!(!knows(&mut heads, 200, PLAIN));
        assert!(heads.lines(known).is_none());
    }
}
