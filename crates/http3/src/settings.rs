//! The payload of a SETTINGS frame (RFC 9114 §7.2.4).

use bytes::BytesMut;

use crate::code::Code;
use crate::error::Error;
use crate::varint;

const QPACK_MAX_TABLE_CAPACITY: u64 = 0x1;
const MAX_FIELD_SECTION_SIZE: u64 = 0x6;
const QPACK_BLOCKED_STREAMS: u64 = 0x7;
const ENABLE_CONNECT_PROTOCOL: u64 = 0x8;
const H3_DATAGRAM: u64 = 0x33;

/// What one side tells the other at the start of a connection. The default is what an empty frame means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Largest field section accepted, by the rule of RFC 9114 §4.2.2; `None`: no limit told.
    pub max_field_section_size: Option<u64>,
    /// Whether extended CONNECT is understood (RFC 9220 §3).
    pub enable_connect_protocol: bool,
    /// Whether HTTP datagrams are understood (RFC 9297 §2.1.1).
    pub h3_datagram: bool,
    /// Largest dynamic table, in bytes (RFC9204-5-settings-received). Ours is 0.
    pub qpack_max_table_capacity: u64,
    /// How many streams may wait for the dynamic table (RFC9204-5-settings-received). Ours is 0.
    pub qpack_blocked_streams: u64,
    /// What was said about WebTransport.
    pub webtransport: WebTransportSettings,
}

/// The settings of WebTransport, of all drafts that are in use. 0 is the default of each: not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebTransportSettings {
    /// 0x2c7cf000, SETTINGS_WT_ENABLED (draft 15 and later).
    pub enabled: u64,
    /// 0x2b603742, ENABLE_WEBTRANSPORT (draft 2): what Chromium and Firefox want.
    pub enabled_draft02: u64,
    /// 0x2b603743, WEBTRANSPORT_MAX_SESSIONS (draft 2).
    pub max_sessions_draft02: u64,
    /// 0xc671706a, WEBTRANSPORT_MAX_SESSIONS (draft 7).
    pub max_sessions_draft07: u64,
    /// 0x14e9cd29, WT_MAX_SESSIONS (draft 13): what Safari wants.
    pub max_sessions_draft13: u64,
    /// 0xffd277, H3_DATAGRAM of an early draft of RFC 9297, which browsers still send.
    pub h3_datagram_draft04: u64,
    /// 0x2b61, SETTINGS_WT_INITIAL_MAX_DATA, in bytes.
    pub initial_max_data: u64,
    /// 0x2b64, SETTINGS_WT_INITIAL_MAX_STREAMS_UNI.
    pub initial_max_streams_uni: u64,
    /// 0x2b65, SETTINGS_WT_INITIAL_MAX_STREAMS_BIDI.
    pub initial_max_streams_bidi: u64,
}

impl WebTransportSettings {
    /// Whether the peer offers WebTransport, in whatever dialect.
    pub fn is_offered(&self) -> bool {
        let offers = [
            self.enabled,
            self.enabled_draft02,
            self.max_sessions_draft07,
            self.max_sessions_draft13,
        ];
        offers.iter().any(|offer| *offer > 0)
    }
}

impl WebTransportSettings {
    /// Whether the peer speaks the newest dialect alone, in which `:protocol` is `webtransport-h3`
    /// (draft-ietf-webtrans-http3-16 §3.2).
    pub fn wants_newest_token(&self) -> bool {
        let older = [
            self.enabled_draft02,
            self.max_sessions_draft07,
            self.max_sessions_draft13,
        ];
        self.enabled > 0 && older.iter().all(|offer| *offer == 0)
    }
}

impl Settings {
    /// Appends the payload of a SETTINGS frame; defaults are left out. Each setting has one place, and those of HTTP/2
    /// have none (RFC9114-7.2.4-setting-sent-once, RFC9114-7.2.4.1-reserved-setting-sent).
    pub fn encode(&self, out: &mut BytesMut) {
        if let Some(size) = self.max_field_section_size {
            encode_pair(out, MAX_FIELD_SECTION_SIZE, size.min(varint::MAX));
        }
        let plain = [
            (QPACK_MAX_TABLE_CAPACITY, self.qpack_max_table_capacity),
            (QPACK_BLOCKED_STREAMS, self.qpack_blocked_streams),
            (ENABLE_CONNECT_PROTOCOL, u64::from(self.enable_connect_protocol)),
            (H3_DATAGRAM, u64::from(self.h3_datagram)),
        ];
        for (id, value) in plain.into_iter().chain(self.webtransport.pairs()) {
            if value != 0 {
                encode_pair(out, id, value.min(varint::MAX));
            }
        }
    }

    /// Whether a peer that said `before` takes something of it back with these: a limit is lower, or what it could do is left
    /// out. A server that accepted early data must not (RFC 9114 §7.2.4.2).
    pub fn reduce(&self, before: &Self) -> bool {
        // RFC 9114 §7.2.4.1: no limit told is no limit.
        let section = |settings: &Self| settings.max_field_section_size.unwrap_or(u64::MAX);
        let values = |settings: &Self| {
            [
                u64::from(settings.enable_connect_protocol),
                u64::from(settings.h3_datagram),
                settings.qpack_blocked_streams,
            ]
        };
        let pairs = values(self).into_iter().zip(values(before));
        let webtransport = self
            .webtransport
            .pairs()
            .into_iter()
            .zip(before.webtransport.pairs());
        let omits_section = self.max_field_section_size.is_none() && before.max_field_section_size.is_some();
        // RFC 9204 §3.2.3: the capacity may only change from 0.
        let capacity = before.qpack_max_table_capacity;
        omits_section
            || section(self) < section(before)
            || (capacity != 0 && capacity != self.qpack_max_table_capacity)
            || pairs.into_iter().any(|(now, then)| now < then)
            || webtransport.into_iter().any(|((_, now), (_, then))| now < then)
    }

    /// Reads the payload of a SETTINGS frame. Unknown settings are ignored (RFC 9114 §7.2.4).
    ///
    /// # Errors
    /// Both close the connection. H3_FRAME_ERROR: the payload ends inside a setting (RFC 9114 §7.1).
    /// H3_SETTINGS_ERROR: a setting reserved because HTTP/2 had it (§7.2.4.1), one that occurs twice
    /// (§7.2.4), or a value out of range.
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        let mut rest = payload;
        while !rest.is_empty() {
            let (id, value) = decode_pair(&mut rest)?;
            let known = settings.apply(id, value)?;
            // RFC9114-7.2.4-setting-repeated
            if known && seen.contains(&id) {
                return Err(settings_error("setting sent twice"));
            }
            if known {
                seen.push(id);
            }
        }
        Ok(settings)
    }

    /// Takes one setting over; `false`: it is unknown. At most 14 are known.
    fn apply(&mut self, id: u64, value: u64) -> Result<bool, Error> {
        match id {
            // RFC9114-7.2.4.1-reserved-setting; 0x1 is QPACK's.
            0x0 | 0x2..=0x5 => return Err(settings_error("setting reserved from HTTP/2")),
            QPACK_MAX_TABLE_CAPACITY => self.qpack_max_table_capacity = value,
            MAX_FIELD_SECTION_SIZE => self.max_field_section_size = Some(value),
            QPACK_BLOCKED_STREAMS => self.qpack_blocked_streams = value,
            // RFC8441-3-setting-value
            ENABLE_CONNECT_PROTOCOL => self.enable_connect_protocol = decode_switch(value)?,
            // RFC9297-2.1.1-setting-value
            H3_DATAGRAM => self.h3_datagram = decode_switch(value)?,
            _ => match self.webtransport.value_mut(id) {
                Some(slot) => *slot = value,
                // RFC9114-7.2.4-unknown-setting, RFC9114-7.2.4.1-grease-setting
                None => return Ok(false),
            },
        }
        Ok(true)
    }
}

impl WebTransportSettings {
    fn pairs(&self) -> [(u64, u64); 9] {
        [
            (0x2c7c_f000, self.enabled),
            (0x2b60_3742, self.enabled_draft02),
            (0x2b60_3743, self.max_sessions_draft02),
            (0xc671_706a, self.max_sessions_draft07),
            (0x14e9_cd29, self.max_sessions_draft13),
            (0xff_d277, self.h3_datagram_draft04),
            (0x2b61, self.initial_max_data),
            (0x2b64, self.initial_max_streams_uni),
            (0x2b65, self.initial_max_streams_bidi),
        ]
    }

    fn value_mut(&mut self, id: u64) -> Option<&mut u64> {
        Some(match id {
            0x2c7c_f000 => &mut self.enabled,
            0x2b60_3742 => &mut self.enabled_draft02,
            0x2b60_3743 => &mut self.max_sessions_draft02,
            0xc671_706a => &mut self.max_sessions_draft07,
            0x14e9_cd29 => &mut self.max_sessions_draft13,
            0xff_d277 => &mut self.h3_datagram_draft04,
            0x2b61 => &mut self.initial_max_data,
            0x2b64 => &mut self.initial_max_streams_uni,
            0x2b65 => &mut self.initial_max_streams_bidi,
            _ => return None,
        })
    }
}

fn encode_pair(out: &mut BytesMut, id: u64, value: u64) {
    varint::encode(out, id);
    varint::encode(out, value);
}

fn decode_pair(rest: &mut &[u8]) -> Result<(u64, u64), Error> {
    // RFC9114-7.1-settings-cut
    const CUT: Error = Error::connection(Code::H3_FRAME_ERROR, "SETTINGS ends inside a setting");
    let (id, first) = varint::decode(rest).ok_or(CUT)?;
    let (value, second) = varint::decode(&rest[first..]).ok_or(CUT)?;
    *rest = &rest[first + second..];
    Ok((id, value))
}

fn decode_switch(value: u64) -> Result<bool, Error> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(settings_error("setting must be 0 or 1")),
    }
}

fn settings_error(reason: &'static str) -> Error {
    Error::connection(Code::H3_SETTINGS_ERROR, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(pairs: &[(u64, u64)]) -> BytesMut {
        let mut out = BytesMut::new();
        for (id, value) in pairs {
            encode_pair(&mut out, *id, *value);
        }
        out
    }

    fn full() -> Settings {
        Settings {
            max_field_section_size: Some(16_384),
            enable_connect_protocol: true,
            h3_datagram: true,
            qpack_max_table_capacity: 4096,
            qpack_blocked_streams: 100,
            webtransport: WebTransportSettings {
                enabled: 1,
                enabled_draft02: 1,
                max_sessions_draft02: 2,
                max_sessions_draft07: 3,
                max_sessions_draft13: 4,
                h3_datagram_draft04: 1,
                initial_max_data: 5,
                initial_max_streams_uni: 6,
                initial_max_streams_bidi: 7,
            },
        }
    }

    #[test]
    fn every_setting_survives_a_round_trip() {
        let mut out = BytesMut::new();
        full().encode(&mut out);
        assert_eq!(Settings::decode(&out), Ok(full()));
    }

    /// RFC9114-7.2.4-setting-sent-once, RFC9114-7.2.4.1-reserved-setting-sent
    #[test]
    fn each_setting_is_sent_once_and_none_of_them_is_reserved() {
        let mut out = BytesMut::new();
        full().encode(&mut out);
        let (mut rest, mut ids) = (&out[..], Vec::new());
        while !rest.is_empty() {
            ids.push(decode_pair(&mut rest).unwrap().0);
        }
        assert_eq!(ids.len(), 14);
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{id:#x}");
            assert!(![0x0, 0x2, 0x3, 0x4, 0x5].contains(id), "{id:#x}");
        }
    }

    #[test]
    fn defaults_are_not_sent_and_an_empty_payload_means_them() {
        let mut out = BytesMut::new();
        Settings::default().encode(&mut out);
        assert!(out.is_empty());
        assert_eq!(Settings::decode(&[]), Ok(Settings::default()));
    }

    #[test]
    fn each_id_reaches_its_own_field() {
        for (id, value) in full().webtransport.pairs() {
            let decoded = Settings::decode(&payload(&[(id, value)])).unwrap();
            let nonzero: Vec<_> = decoded
                .webtransport
                .pairs()
                .into_iter()
                .filter(|pair| pair.1 != 0)
                .collect();
            assert_eq!(nonzero, [(id, value)]);
        }
    }

    #[test]
    fn unknown_settings_are_ignored_even_when_repeated() {
        let unknown = [
            // RFC9114-7.2.4.1-grease-setting
            0x21,
            0x40,
            0x21 + 0x1f * 1_000_000,
            0x3fff_ffff_ffff_fffe,
            // RFC9114-7.2.4-unknown-setting
            0x9,
            0xabcd,
            varint::MAX,
        ];
        for id in unknown {
            let pairs = [(id, 1), (id, varint::MAX), (MAX_FIELD_SECTION_SIZE, 9)];
            let expected = Settings {
                max_field_section_size: Some(9),
                ..Settings::default()
            };
            assert_eq!(Settings::decode(&payload(&pairs)), Ok(expected), "{id:#x}");
        }
    }

    /// RFC9204-5-settings-received
    #[test]
    fn every_value_of_the_qpack_settings_is_valid() {
        for value in [0, 1, 4096, varint::MAX] {
            let pairs = [(QPACK_MAX_TABLE_CAPACITY, value), (QPACK_BLOCKED_STREAMS, value)];
            let settings = Settings::decode(&payload(&pairs)).unwrap();
            assert_eq!(
                (settings.qpack_max_table_capacity, settings.qpack_blocked_streams),
                (value, value)
            );
        }
    }

    /// RFC8441-3-setting-value, RFC9297-2.1.1-setting-value
    #[test]
    fn a_switch_is_0_or_1() {
        for id in [ENABLE_CONNECT_PROTOCOL, H3_DATAGRAM] {
            for value in [0, 1] {
                let settings = Settings::decode(&payload(&[(id, value)])).unwrap();
                assert_eq!(
                    settings.enable_connect_protocol || settings.h3_datagram,
                    value == 1
                );
            }
            for value in [2, 64, varint::MAX] {
                let error = Settings::decode(&payload(&[(id, value)])).unwrap_err();
                assert_eq!(
                    (error.code, error.scope),
                    (Code::H3_SETTINGS_ERROR, crate::Scope::Connection)
                );
            }
        }
    }

    #[test]
    fn reserved_repeated_and_out_of_range_settings_close_the_connection() {
        let cases: [&[(u64, u64)]; 8] = [
            // RFC9114-7.2.4.1-reserved-setting
            &[(0x0, 0)],
            &[(0x2, 0)],
            &[(0x3, 0)],
            &[(0x4, 0)],
            &[(0x5, 0)],
            // RFC9114-7.2.4-setting-repeated
            &[
                (QPACK_MAX_TABLE_CAPACITY, 0),
                (H3_DATAGRAM, 1),
                (QPACK_MAX_TABLE_CAPACITY, 5),
            ],
            &[(MAX_FIELD_SECTION_SIZE, 1), (MAX_FIELD_SECTION_SIZE, 1)],
            &[(0x2b61, 0), (0x2b61, 0)],
        ];
        for pairs in cases {
            let error = Settings::decode(&payload(pairs)).unwrap_err();
            assert_eq!(
                (error.code, error.scope),
                (Code::H3_SETTINGS_ERROR, crate::Scope::Connection),
                "{pairs:?}"
            );
        }
    }

    /// RFC9114-7.1-settings-cut
    #[test]
    fn a_payload_that_ends_inside_a_setting_closes_the_connection() {
        let whole = payload(&[(H3_DATAGRAM, 1), (MAX_FIELD_SECTION_SIZE, 16_384)]);
        for cut in [1, 3, 4, 5, 6] {
            assert_eq!(
                Settings::decode(&whole[..cut]).unwrap_err().code,
                Code::H3_FRAME_ERROR,
                "cut at {cut}"
            );
        }
        assert!(Settings::decode(&whole).is_ok());
        // The first byte of an identifier of two.
        for cut in [&[0x40][..], &[0x06, 0x01, 0x40]] {
            assert_eq!(Settings::decode(cut).unwrap_err().code, Code::H3_FRAME_ERROR);
        }
    }
}
