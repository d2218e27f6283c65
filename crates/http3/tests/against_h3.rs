//! The frames that the h3 crate writes are read as meant, and it reads ours. (Its QPACK is private; that is
//! compared over real connections in the tests of the core.)

use bytes::{Buf, Bytes, BytesMut};
use h3::proto::frame::{Frame, PayloadLen, SettingId, Settings as H3Settings};
use h3::proto::varint::VarInt;
use trilane_http3::{
    ControlFrame, ControlReader, Role, Settings, WebTransportSettings, write_control_preface, write_goaway,
};

fn encode(frame: Frame<Bytes>) -> Bytes {
    use h3::proto::coding::Encode;
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

#[test]
fn the_control_frames_of_h3_are_read_as_meant() {
    let mut settings = H3Settings::default();
    for (id, value) in [
        (SettingId::MAX_HEADER_LIST_SIZE, 16_384),
        (SettingId::ENABLE_CONNECT_PROTOCOL, 1),
        (SettingId::H3_DATAGRAM, 1),
        (SettingId::ENABLE_WEBTRANSPORT, 1),
        (SettingId::WEBTRANSPORT_MAX_SESSIONS, 16),
        (SettingId::QPACK_MAX_TABLE_CAPACITY, 4096),
        (SettingId::QPACK_MAX_BLOCKED_STREAMS, 100),
    ] {
        settings.insert(id, value).unwrap();
    }
    let mut wire = BytesMut::new();
    wire.extend_from_slice(&encode(Frame::Settings(settings)));
    wire.extend_from_slice(&encode(Frame::Goaway(VarInt::from_u32(400))));
    wire.extend_from_slice(&encode(Frame::Grease));
    let (mut chunk, mut reader) = (wire.freeze(), ControlReader::new(Role::Client));
    let expected = Settings {
        max_field_section_size: Some(16_384),
        enable_connect_protocol: true,
        h3_datagram: true,
        qpack_max_table_capacity: 4096,
        qpack_blocked_streams: 100,
        webtransport: WebTransportSettings {
            enabled_draft02: 1,
            max_sessions_draft02: 16,
            ..Default::default()
        },
    };
    assert_eq!(
        reader.read(&mut chunk),
        Ok(Some(ControlFrame::Settings(expected)))
    );
    assert_eq!(reader.read(&mut chunk), Ok(Some(ControlFrame::Goaway(400))));
    assert_eq!(reader.read(&mut chunk), Ok(None));
}

#[test]
fn our_control_frames_are_read_by_h3_as_meant() {
    let settings = Settings {
        max_field_section_size: Some(99),
        h3_datagram: true,
        ..Default::default()
    };
    let mut wire = BytesMut::new();
    write_control_preface(&mut wire, &settings);
    write_goaway(&mut wire, 8);
    let mut wire = wire.freeze();
    assert_eq!(wire.get_u8(), 0, "the stream type");
    let Frame::<PayloadLen>::Settings(read) = Frame::decode(&mut wire).unwrap() else {
        panic!("no SETTINGS")
    };
    assert_eq!(read.get(SettingId::MAX_HEADER_LIST_SIZE), Some(99));
    assert_eq!(read.get(SettingId::H3_DATAGRAM), Some(1));
    let Frame::<PayloadLen>::Goaway(id) = Frame::decode(&mut wire).unwrap() else {
        panic!("no GOAWAY")
    };
    assert_eq!(id.into_inner(), 8);
}
