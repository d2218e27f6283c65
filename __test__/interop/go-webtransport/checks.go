package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/webtransport-go"
)

const (
	datagrams = 50
	sessions  = 50
	// Time until datagrams are sent again: they may be lost.
	resend = 100 * time.Millisecond
	mib    = 1 << 20
)

var checks = []check{
	{"datagrams both ways", in(toEcho, datagramsBothWays)},
	{"a bidirectional stream of the client", onStream(toEcho, bidirectional)},
	{"a unidirectional stream each way", in(toEcho, unidirectional)},
	{"a bidirectional stream of the server", in("/sessions/open", bidirectionalOfServer)},
	{"1 MiB there and back", onStream(toEcho, thereAndBack)},
	{"the ends of streams", onStream(toEcho, ends)},
	{"the close code of the client", clientCloses},
	{"the close code of the server", onStream("/sessions/close", serverCloses)},
	{"codes of resets and stops, by the server", onStream("/sessions/resets", serverResets)},
	{"codes of resets and stops, by the client", onStream("/sessions/resets", clientResets)},
	{"a refused session", refused},
	{"an agreed protocol", protocol},
	{"a session that the server winds up", nil},
	{fmt.Sprintf("%d sessions in a row", sessions), sessionsInARow},
}

// toEcho is where a session that sends everything back is, for checks that do not ask how it ended.
const toEcho = "/sessions/echo/unasked"

// in opens a session at path for a check, and closes it behind that.
func in(path string, run func(context.Context, *webtransport.Session) error) func(context.Context, *client) error {
	return func(ctx context.Context, c *client) error {
		session, _, err := c.open(ctx, path)
		if err != nil {
			return err
		}
		defer session.CloseWithError(0, "")
		return run(ctx, session)
	}
}

// onStream does the same for a check that begins with a bidirectional stream of the client.
func onStream(
	path string,
	run func(context.Context, *webtransport.Session, *webtransport.Stream) error,
) func(context.Context, *client) error {
	return in(path, func(ctx context.Context, session *webtransport.Session) error {
		stream, err := session.OpenStreamSync(ctx)
		if err != nil {
			return err
		}
		return run(ctx, session, stream)
	})
}

func datagramsBothWays(ctx context.Context, session *webtransport.Session) error {
	missing := map[string]bool{}
	for n := range datagrams {
		missing[fmt.Sprintf("datagram %d", n)] = true
	}
	for len(missing) > 0 {
		for message := range missing {
			if err := session.SendDatagram([]byte(message)); err != nil {
				return err
			}
		}
		round, cancel := context.WithTimeout(ctx, resend)
		for len(missing) > 0 {
			data, err := session.ReceiveDatagram(round)
			if err != nil {
				break
			}
			delete(missing, string(data))
		}
		cancel()
		if ctx.Err() != nil {
			return fmt.Errorf("%d datagrams never came back", len(missing))
		}
	}
	return nil
}

func bidirectional(_ context.Context, _ *webtransport.Session, stream *webtransport.Stream) error {
	for _, message := range []string{"one", "two"} {
		if err := echoes(stream, message); err != nil {
			return err
		}
	}
	return nil
}

func unidirectional(ctx context.Context, session *webtransport.Session) error {
	stream, err := session.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	if err := sayLine(stream, "one way"); err != nil {
		return err
	}
	back, err := said(ctx, session)
	return errors.Join(err, expect("echo", back, "one way"))
}

func bidirectionalOfServer(ctx context.Context, session *webtransport.Session) error {
	stream, err := session.AcceptStream(ctx)
	if err != nil {
		return err
	}
	greeting, err := line(stream)
	if err != nil {
		return err
	}
	if err := sayLine(stream, "an answer"); err != nil {
		return err
	}
	heard, err := said(ctx, session)
	return errors.Join(err, expect("greeting", greeting, "from the server"), expect("line", heard, "heard an answer"))
}

func thereAndBack(_ context.Context, _ *webtransport.Session, stream *webtransport.Stream) error {
	body := make([]byte, mib)
	for at := range body {
		body[at] = byte(at % 251)
	}
	written := make(chan error, 1)
	go func() {
		_, err := stream.Write(body)
		written <- err
	}()
	back := make([]byte, mib)
	_, err := io.ReadFull(stream, back)
	return errors.Join(err, <-written, expect("equal", bytes.Equal(back, body), true))
}

func ends(ctx context.Context, session *webtransport.Session, both *webtransport.Stream) error {
	_, wrote := both.Write([]byte("both ways"))
	closed := both.Close()
	back, err := io.ReadAll(both)
	if err := errors.Join(wrote, closed, err, expect("echo", string(back), "both ways")); err != nil {
		return err
	}
	one, err := session.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	_, wrote = one.Write([]byte("one way"))
	closed = one.Close()
	incoming, err := session.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	back, err = io.ReadAll(incoming)
	return errors.Join(wrote, closed, err, expect("echo", string(back), "one way"))
}

// closeAttempts: webtransport-go closes the connection right behind the capsule that closes the session, now and then before
// the capsule has left. Then the server can only see the session break off.
const closeAttempts = 20

func clientCloses(ctx context.Context, c *client) error {
	return clientClosesOneOf(ctx, c, closeAttempts)
}

func clientClosesOneOf(ctx context.Context, c *client, attempts int) error {
	session, id, err := c.echo(ctx)
	if err != nil {
		return err
	}
	if err := session.CloseWithError(42, "closed by the client ✓"); err != nil {
		return err
	}
	seen, err := c.ended(ctx, id)
	if err == nil && seen.Broke != "" && attempts > 1 {
		return clientClosesOneOf(ctx, c, attempts-1)
	}
	return errors.Join(err, expect("ending", seen, ending{CloseCode: 42, Reason: "closed by the client ✓"}))
}

func serverCloses(ctx context.Context, session *webtransport.Session, stream *webtransport.Stream) error {
	if err := sayLine(stream, "close, please"); err != nil {
		return err
	}
	_, err := session.AcceptStream(ctx)
	var closed *webtransport.SessionError
	if !errors.As(err, &closed) {
		return fmt.Errorf("expected the end of the session, got %v", err)
	}
	return errors.Join(
		expect("code", closed.ErrorCode, 77),
		expect("reason", closed.Message, "closed by the server ✓"),
		expect("remote", closed.Remote, true),
	)
}

func serverResets(ctx context.Context, _ *webtransport.Session, stream *webtransport.Stream) error {
	if err := sayLine(stream, "x"); err != nil {
		return err
	}
	_, read := io.ReadAll(stream)
	var wrote error
	for wrote == nil && ctx.Err() == nil {
		_, wrote = stream.Write([]byte("x"))
		time.Sleep(time.Millisecond)
	}
	return errors.Join(expectCode("reset", read, 5), expectCode("stop", wrote, 6))
}

func clientResets(ctx context.Context, session *webtransport.Session, first *webtransport.Stream) error {
	if err := sayLine(first, "x"); err != nil {
		return err
	}
	second, err := session.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	if _, err := second.Write([]byte("x")); err != nil {
		return err
	}
	greeting, err := line(second)
	if err != nil {
		return err
	}
	second.CancelWrite(7)
	second.CancelRead(8)
	seen, err := said(ctx, session)
	return errors.Join(err, expect("greeting", greeting, "go"), expect("codes", seen, `{"reset":7,"stop":8}`))
}

func refused(ctx context.Context, c *client) error {
	_, status, err := c.open(ctx, "/sessions/refuse")
	return errors.Join(expect("refused", err != nil, true), expect("status", status, 403))
}

func protocol(ctx context.Context, c *client) error {
	session, _, err := c.open(ctx, "/sessions/protocol", "first", "second")
	if err != nil {
		return err
	}
	defer session.CloseWithError(0, "")
	return expect("protocol", session.SessionState().ApplicationProtocol, "second")
}

func sessionsInARow(ctx context.Context, c *client) error {
	for n := range sessions {
		session, id, err := c.echo(ctx)
		if err != nil {
			return err
		}
		stream, err := session.OpenStreamSync(ctx)
		if err != nil {
			return err
		}
		message := fmt.Sprintf("session %d", n)
		if err := echoes(stream, message); err != nil {
			return err
		}
		if err := session.CloseWithError(webtransport.SessionErrorCode(n), message); err != nil {
			return err
		}
		seen, err := c.ended(ctx, id)
		if err != nil {
			return err
		}
		if seen.Broke == "" {
			if err := expect("ending", seen, ending{CloseCode: uint32(n), Reason: message}); err != nil {
				return err
			}
		}
	}
	return nil
}

// sayLine writes a line, behind which the stream stays open.
func sayLine(to io.Writer, text string) error {
	_, err := io.WriteString(to, text+"\n")
	return err
}

// echoes says a line and expects it back.
func echoes(stream *webtransport.Stream, message string) error {
	if err := sayLine(stream, message); err != nil {
		return err
	}
	back, err := line(stream)
	return errors.Join(err, expect("echo", back, message))
}

func expectCode(what string, err error, code webtransport.StreamErrorCode) error {
	var failed *webtransport.StreamError
	if !errors.As(err, &failed) {
		return fmt.Errorf("%s: expected a stream error, got %v", what, err)
	}
	return errors.Join(expect(what, failed.ErrorCode, code), expect(what+", remote", failed.Remote, true))
}
