// Package echo is a client with a deadline: it sends a message, half-closes, and checks that the echo is complete and
// correct.
package echo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// Errors beside those of package net: a dial that fails, a reset (syscall.ECONNRESET), a deadline (os.ErrDeadlineExceeded).
var (
	ErrClosedEarly = errors.New("the server ended the stream before the echo was complete")
	ErrMismatch    = errors.New("the echo is not the message")
)

// Echo returns nil when the whole echo and the server's FIN have come.
func Echo(address string, message []byte, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	connection, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	if err := send(connection.(*net.TCPConn), message); err != nil {
		return err
	}
	got := make([]byte, 0, len(message))
	piece := make([]byte, 1<<16)
	for {
		n, err := connection.Read(piece)
		got = append(got, piece[:n]...)
		if !bytes.HasPrefix(message, got) {
			return fmt.Errorf("%w: got %q", ErrMismatch, got)
		}
		switch {
		case err == io.EOF && len(got) < len(message):
			return fmt.Errorf("%w: %d of %d bytes came", ErrClosedEarly, len(got), len(message))
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// send fails only if the next read would not say more: the server may have ended the connection already.
func send(connection *net.TCPConn, message []byte) error {
	_, err := connection.Write(message)
	if err == nil {
		err = connection.CloseWrite()
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ENOTCONN) {
		return nil
	}
	return err
}
