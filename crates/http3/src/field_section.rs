//! A decoded field section: one text buffer and the ends of its strings.

/// What a peer may send as one field section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLimits {
    /// Largest size: each field counts name + value + 32 bytes (RFC 9114 §4.2.2). Also the largest HEADERS
    /// frame accepted, so nothing beyond it is ever held.
    pub max_bytes: usize,
    /// Largest number of fields, pseudo-headers included.
    pub max_fields: usize,
}

/// Ends of one field in the text; it begins where the one before it ends.
#[derive(Clone, Copy, Debug)]
struct Span {
    name_end: u32,
    value_end: u32,
}

/// A decoded field section, in the order received. Reuse it: [`clear`](Self::clear) keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct FieldSection {
    text: Vec<u8>,
    spans: Vec<Span>,
}

impl FieldSection {
    /// An empty section; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the fields and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Names and values, in the order received.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.iter_from(0)
    }

    /// The first value of the field `name` (lower case).
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Names and values from the field `first` on.
    pub(crate) fn iter_from(&self, first: usize) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let first = first.min(self.spans.len());
        let mut start = first
            .checked_sub(1)
            .map_or(0, |before| self.spans[before].value_end as usize);
        self.spans[first..].iter().map(move |span| {
            let (name_end, value_end) = (span.name_end as usize, span.value_end as usize);
            let field = (&self.text[start..name_end], &self.text[name_end..value_end]);
            start = value_end;
            field
        })
    }

    /// The field at `index`, which must exist.
    #[inline]
    pub(crate) fn field(&self, index: usize) -> (&[u8], &[u8]) {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.spans[before].value_end as usize);
        let span = self.spans[index];
        let (name_end, value_end) = (span.name_end as usize, span.value_end as usize);
        (&self.text[start..name_end], &self.text[name_end..value_end])
    }

    /// The text, to append a name and a value to; [`close_field`](Self::close_field) then makes them a field.
    #[inline]
    pub(crate) fn text_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Makes everything appended since the last field a field whose name ends at `name_end`. The caller keeps
    /// the text below 4 GiB by its limits.
    #[inline]
    pub(crate) fn close_field(&mut self, name_end: usize) {
        self.spans.push(Span {
            name_end: name_end as u32,
            value_end: self.text.len() as u32,
        });
    }

    /// Size by the rule of RFC 9114 §4.2.2 (RFC9114-4.2.2-field-size).
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.text.len() + 32 * self.spans.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(fields: &[(&str, &str)]) -> FieldSection {
        let mut section = FieldSection::new();
        for (name, value) in fields {
            section.text_mut().extend_from_slice(name.as_bytes());
            let name_end = section.text.len();
            section.text_mut().extend_from_slice(value.as_bytes());
            section.close_field(name_end);
        }
        section
    }

    #[test]
    fn fields_come_back_in_order_and_by_name() {
        let section = section(&[("a", "1"), ("b", ""), ("a", "2")]);
        let all: Vec<_> = section.iter().collect();
        assert_eq!(all, [(&b"a"[..], &b"1"[..]), (b"b", b""), (b"a", b"2")]);
        assert_eq!(section.iter_from(2).collect::<Vec<_>>(), all[2..]);
        assert_eq!(section.iter_from(9).count(), 0);
        assert_eq!(section.field(1), (&b"b"[..], &b""[..]));
        assert_eq!(section.get(b"a"), Some(&b"1"[..]));
        assert_eq!(section.get(b"c"), None);
    }

    /// RFC9114-4.2.2-field-size
    #[test]
    fn the_size_counts_32_bytes_more_for_each_field() {
        assert_eq!(section(&[("name", "value"), ("x", "")]).size(), 9 + 32 + 1 + 32);
    }

    #[test]
    fn a_cleared_section_is_empty() {
        let mut section = section(&[("a", "1")]);
        section.clear();
        assert!(section.is_empty());
        assert_eq!(section.len(), 0);
        assert_eq!(section.size(), 0);
    }
}
