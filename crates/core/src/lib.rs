//! The HTTP/3 server of trilane, without JavaScript: quinn carries it, `trilane-http3` knows the bytes.
//!
//! ```text
//! UDP -> endpoint -> connection (one task owns it: the only demultiplexer)
//!         |- request stream -> inbound: read, checked, routed -> handler
//!         |- unidirectional streams -> peer_streams: SETTINGS, GOAWAY, QPACK
//! back:   exchange -> response: HEADERS + DATA + FIN in one write; outbound: streaming bodies
//! ```
//!
//! A program implements [`Handler`], makes a [`Server`] and starts it on a tokio runtime.

mod address_validation;
mod answer_head;
mod answer_stream;
mod arrived_stream;
mod body;
mod budget;
pub mod certificate;
mod chunk_queue;
pub mod client;
mod congestion;
mod connection;
mod connection_state;
mod connections;
mod content;
mod datagram_capsules;
mod datagram_counters;
mod datagram_queue;
mod datagram_router;
mod datagram_sender;
mod datagrams;
mod driver;
mod durations;
mod early_data;
mod early_streams;
mod endpoint;
mod endpoint_keys;
mod exchange;
mod exchange_table;
mod expectation;
mod file;
mod frame_budget;
mod handler;
mod inbound;
mod initial_gate;
mod intake;
mod known_heads;
mod limits;
mod load_guard;
mod modes;
mod open_exchanges;
mod outbound;
mod peer_streams;
mod portion;
mod priority;
mod qlog;
mod rate;
mod raw_connection;
mod request_record;
mod response;
pub mod router;
mod routing;
mod sampler;
mod send_order;
mod server;
mod session;
mod session_capsules;
mod session_counters;
mod session_event;
mod session_flow;
mod session_stream;
mod session_table;
mod shutdown;
mod slow_request;
mod socket_buffers;
mod stats;
mod stream_credit;
mod sync;
mod tables;
pub mod tls;
mod udp_socket;
mod wire;

pub use address_validation::AddressValidation;
pub use body::{BodyError, BodyReader, MessageBody};
pub use connection_state::Handshake;
pub use connections::ConnectionName;
pub use datagram_counters::{DatagramLayer, DatagramStats};
pub use datagram_queue::DatagramError;
pub use datagram_router::UnknownDatagrams;
pub use datagram_sender::DatagramSender;
pub use datagrams::DatagramOptions;
pub use driver::drive_here;
pub use durations::DurationSeries;
pub use endpoint_keys::{KeyTooShort, StatelessResetKey};
pub use exchange::{Exchange, ExchangeError, ExchangeId, Notify};
pub use exchange_table::{ExchangeTable, check_interim};
pub use file::{
    Conditions, Dotfiles, Field, FileAnswer, FileError, FileLocation, Folder, Found, Symlinks, media_type,
};
pub use handler::{CloseCause, ConnectionEvent, ExchangeEvent, Handler, Request, Response};
pub use limits::Limits;
pub use modes::{BodyMode, Modes, SessionRoutes};
pub use portion::Portion;
pub use request_record::{Observe, RequestEnd, RequestOutcome};
pub use routing::{ReloadError, Routing};
pub use send_order::SendPlace;
pub use server::{BindError, ConnectionInfo, Server, ServerConfig, Stop};
pub use session_counters::SessionStats;
pub use session_event::{SessionEnd, SessionEvent, StreamKind, StreamName};
pub use session_stream::{ReadHalf, StreamError, StreamEvent};
pub use session_table::SessionTable;
pub use socket_buffers::SocketBuffers;
pub use stats::Stats;
pub use tables::Tables;
