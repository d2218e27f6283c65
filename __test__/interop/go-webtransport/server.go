package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

// endings are how echo sessions ended, by name.
type endings struct {
	mutex sync.Mutex
	told  map[string]chan ending
}

func (e *endings) of(id string) chan ending {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.told[id] == nil {
		e.told[id] = make(chan ending, 1)
	}
	return e.told[id]
}

// serve answers as session-routes.ts says, and prints its URL.
func serve() error {
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	server := &webtransport.Server{
		H3: &http3.Server{
			Handler:   mux,
			TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		},
		ApplicationProtocols: []string{"second"},
		CheckOrigin:          func(*http.Request) bool { return true },
	}
	webtransport.ConfigureHTTP3Server(server.H3)
	ends := &endings{told: map[string]chan ending{}}
	handle := func(path string, take func(*http.Request, *webtransport.Session)) {
		mux.HandleFunc(path, func(answer http.ResponseWriter, request *http.Request) {
			session, err := server.Upgrade(answer, request)
			if err != nil {
				answer.WriteHeader(http.StatusInternalServerError)
				return
			}
			take(request, session)
		})
	}
	handle("/sessions/echo/{id}", func(request *http.Request, session *webtransport.Session) {
		echoAll(session)
		<-session.Context().Done()
		ends.of(request.PathValue("id")) <- endingOf(session)
	})
	handle("/sessions/ended/{id}", func(request *http.Request, session *webtransport.Session) {
		line, _ := json.Marshal(<-ends.of(request.PathValue("id")))
		say(session, string(line))
	})
	handle("/sessions/open", func(_ *http.Request, session *webtransport.Session) {
		stream, err := session.OpenStreamSync(session.Context())
		if err != nil {
			return
		}
		fmt.Fprint(stream, "from the server\n")
		heard, _ := line(stream)
		say(session, "heard "+heard)
	})
	handle("/sessions/close", func(_ *http.Request, session *webtransport.Session) {
		if stream, err := session.AcceptStream(session.Context()); err == nil {
			line(stream)
			session.CloseWithError(77, "closed by the server ✓")
		}
	})
	handle("/sessions/resets", func(_ *http.Request, session *webtransport.Session) { resets(session) })
	handle("/sessions/protocol", func(*http.Request, *webtransport.Session) {})
	mux.HandleFunc("/sessions/refuse", func(answer http.ResponseWriter, _ *http.Request) {
		answer.WriteHeader(http.StatusForbidden)
	})
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("https://%s/\n", socket.LocalAddr())
	return server.Serve(socket)
}

func echoAll(session *webtransport.Session) {
	ctx := session.Context()
	go func() {
		for {
			datagram, err := session.ReceiveDatagram(ctx)
			if err != nil {
				return
			}
			session.SendDatagram(datagram)
		}
	}()
	go func() {
		for {
			stream, err := session.AcceptStream(ctx)
			if err != nil {
				return
			}
			go func() {
				io.Copy(stream, stream)
				stream.Close()
			}()
		}
	}()
	go func() {
		for {
			stream, err := session.AcceptUniStream(ctx)
			if err != nil {
				return
			}
			go func() {
				if back, err := session.OpenUniStreamSync(ctx); err == nil {
					io.Copy(back, stream)
					back.Close()
				}
			}()
		}
	}()
}

// endingOf is how a session that is over ended: what its methods say from then on.
func endingOf(session *webtransport.Session) ending {
	_, err := session.AcceptUniStream(context.Background())
	var closed *webtransport.SessionError
	if errors.As(err, &closed) {
		return ending{CloseCode: uint32(closed.ErrorCode), Reason: closed.Message}
	}
	return ending{Broke: fmt.Sprint(err)}
}

// resets stops and resets a stream that says a line, and tells with which codes the client did so with one that says none. Both
// are told to go ahead: which one the client opened first is not known, as they come in any order.
func resets(session *webtransport.Session) {
	for {
		stream, err := session.AcceptStream(session.Context())
		if err != nil {
			return
		}
		go func() {
			fmt.Fprint(stream, "go\n")
			_, err := line(stream)
			if err == nil {
				stream.CancelRead(6)
				stream.CancelWrite(5)
				return
			}
			reset := codeOf(err)
			select {
			case <-stream.Context().Done():
			case <-session.Context().Done():
			}
			_, err = stream.Write([]byte("x"))
			stop := codeOf(err)
			say(session, fmt.Sprintf(`{"reset":%d,"stop":%d}`, reset, stop))
		}()
	}
}

// codeOf is the code with which the client reset or stopped a stream; -1 if it did not.
func codeOf(err error) int64 {
	var ended *webtransport.StreamError
	if errors.As(err, &ended) {
		return int64(ended.ErrorCode)
	}
	return -1
}

// say says a line on a unidirectional stream.
func say(session *webtransport.Session, message string) {
	if stream, err := session.OpenUniStreamSync(session.Context()); err == nil {
		io.Copy(stream, strings.NewReader(message+"\n"))
		stream.Close()
	}
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}, err
}
