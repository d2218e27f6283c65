"""The client of WebTransport sessions over aioquic."""

from sessions import Session, SessionConnection


class SessionClient(SessionConnection):
    """Sessions that are asked for, all on one connection."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._authority = ""

    def set_authority(self, authority: str) -> None:
        self._authority = authority

    async def session(self, path: str, **fields: str) -> Session:
        """Asks for a session; the answer is in `answer`."""
        stream_id = self._quic.get_next_available_stream_id()
        pseudo = {
            ":method": "CONNECT",
            ":scheme": "https",
            ":authority": self._authority,
            ":path": path,
            ":protocol": "webtransport",
        }
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        session = Session(self, stream_id)
        self._sessions[stream_id] = session
        headers = [(name.encode(), value.encode()) for name, value in (pseudo | fields).items()]
        self._http.send_headers(stream_id, headers)
        self.transmit()
        await session.answer
        return session

    def take_headers(self, stream_id: int, headers: dict[str, str]) -> None:
        self._sessions[stream_id].answer.set_result(headers)
