package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

const (
	conversationTime = 10 * time.Second
	// aMoment is how long the server has to read a stream before it is reset, and to mind what it should not.
	aMoment = 100 * time.Millisecond
	// hello is HEADERS of GET https://a/hello.
	hello = "request 010f 0000 d1 d7 500161 5106 2f68656c6c6f fin"
	// cancelled is H3_REQUEST_CANCELLED.
	cancelled = 0x10c
)

// conversation is a row of malformed.json.
type conversation struct {
	Name    string   `json:"name"`
	Streams []string `json:"streams"`
	Expect  string   `json:"expect"`
}

// malformed holds every conversation of the table and prints a line for each.
func malformed(base, table string) error {
	target, err := url.Parse(base)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(table)
	if err != nil {
		return err
	}
	var conversations []conversation
	if err := json.Unmarshal(text, &conversations); err != nil {
		return err
	}
	for _, c := range conversations {
		started := time.Now()
		line := report{Check: c.Name, OK: true}
		if strings.HasPrefix(c.Streams[0], "datagram") {
			line.Skipped = "quic-go sends no DATAGRAM frame to a peer that takes none"
		} else if end := c.hold(target.Host); end != c.Expect {
			line.OK, line.Error = false, fmt.Sprintf("%s, expected %s", end, c.Expect)
		}
		line.Ms = time.Since(started).Milliseconds()
		json.NewEncoder(os.Stdout).Encode(line)
	}
	return nil
}

// hold holds a conversation and says how it ended, in the words of the table.
func (c conversation) hold(address string) string {
	ctx, cancel := context.WithTimeout(context.Background(), conversationTime)
	defer cancel()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}
	connection, err := quic.DialAddr(ctx, address, config, nil)
	if err != nil {
		return err.Error()
	}
	defer connection.CloseWithError(0x100, "")
	var request *quic.Stream
	for _, stream := range c.Streams {
		opened, err := open(ctx, connection, stream)
		if err != nil {
			return ended(connection, err)
		}
		if opened != nil {
			request = opened
		}
	}
	if strings.HasPrefix(c.Expect, "close") {
		select {
		case <-connection.Context().Done():
			return ended(connection, context.Cause(connection.Context()))
		case <-ctx.Done():
			return "alive"
		}
	}
	end := "alive"
	if request == nil {
		time.Sleep(aMoment)
	} else {
		end = endOf(connection, request, strings.Contains(c.Expect, "content"))
	}
	honest, err := open(ctx, connection, hello)
	if err != nil {
		return end + ", then " + ended(connection, err)
	}
	if after := endOf(connection, honest, false); after != "status 200" {
		return end + ", then " + after
	}
	return end
}

// open opens a stream of the table, `kind hex… end`, and returns it if it is a request.
func open(ctx context.Context, connection *quic.Conn, stream string) (*quic.Stream, error) {
	words := strings.Split(stream, " ")
	last := len(words) - 1
	data, err := hex.DecodeString(strings.Join(words[1:last], ""))
	if err != nil {
		return nil, err
	}
	if words[0] == "request" {
		request, err := connection.OpenStreamSync(ctx)
		if err != nil {
			return nil, err
		}
		request.SetDeadline(time.Now().Add(conversationTime))
		send(request, data, words[last])
		return request, nil
	}
	uni, err := connection.OpenUniStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	send(uni, data, words[last])
	return nil, nil
}

// sender is what both kinds of streams have.
type sender interface {
	io.WriteCloser
	CancelWrite(quic.StreamErrorCode)
}

func send(stream sender, data []byte, end string) {
	// The server may have stopped the stream or closed the connection by now: how it ended is asked elsewhere.
	stream.Write(data)
	switch end {
	case "fin":
		stream.Close()
	case "reset":
		time.Sleep(aMoment)
		stream.CancelWrite(cancelled)
	}
}

// endOf says how a request ended; its content is counted where the table says how long it is.
func endOf(connection *quic.Conn, request *quic.Stream, counted bool) string {
	answer, err := io.ReadAll(request)
	if err != nil {
		return ended(connection, err)
	}
	status, content, err := readAnswer(answer)
	switch {
	case err != nil:
		return err.Error()
	case counted:
		return fmt.Sprintf("status %s content %d", status, content)
	default:
		return "status " + status
	}
}

// readAnswer finds the status of an answer, and counts the bytes of its content.
func readAnswer(answer []byte) (status string, content int, err error) {
	for len(answer) > 0 {
		kind, used, err := quicvarint.Parse(answer)
		if err != nil {
			return "", 0, err
		}
		length, more, err := quicvarint.Parse(answer[used:])
		if err != nil {
			return "", 0, err
		}
		answer = answer[used+more:]
		if length > uint64(len(answer)) {
			return "", 0, io.ErrUnexpectedEOF
		}
		payload := answer[:length]
		answer = answer[length:]
		switch kind {
		case 0x0:
			content += len(payload)
		case 0x1:
			decode := qpack.NewDecoder().Decode(payload)
			for {
				field, err := decode()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return "", 0, err
				}
				if field.Name == ":status" {
					status = field.Value
				}
			}
		}
	}
	return status, content, nil
}

// ended puts what ended a stream or a connection into the words of the table.
func ended(connection *quic.Conn, err error) string {
	var reset *quic.StreamError
	if errors.As(err, &reset) && reset.Remote {
		return fmt.Sprintf("reset %#x", uint64(reset.ErrorCode))
	}
	if cause := context.Cause(connection.Context()); cause != nil {
		err = cause
	}
	var closed *quic.ApplicationError
	if errors.As(err, &closed) && closed.Remote {
		return fmt.Sprintf("close %#x", uint64(closed.ErrorCode))
	}
	var transport *quic.TransportError
	if errors.As(err, &transport) && transport.Remote {
		return fmt.Sprintf("transport-close %#x", uint64(transport.ErrorCode))
	}
	return err.Error()
}
