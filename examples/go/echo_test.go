package echo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// More than the slowest answer of the gallery takes.
const timeout = 5 * time.Second

var gallery struct {
	Addresses []string
	Faults    []struct {
		Port                 int
		Name, Ending, Expect string
	}
}

func TestMain(m *testing.M) {
	os.Exit(withGallery(m.Run))
}

// withGallery runs f while `tcpecho serve --gallery` does.
func withGallery(f func() int) int {
	program := os.Getenv("TCPECHO_BINARY")
	if program == "" {
		program = "tcpecho"
	}
	server := exec.Command(program, "serve", "--gallery", "--json", "--log", "off", "--until-eof")
	server.Stderr = os.Stderr
	// It ends with this process, and the server with it.
	if _, err := server.StdinPipe(); err != nil {
		fmt.Fprintln(os.Stderr, "pipe:", err)
		return 1
	}
	stdout, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err == nil {
		defer server.Wait()
		defer server.Process.Kill()
		err = json.NewDecoder(stdout).Decode(&gallery)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tcpecho serve --gallery:", err)
		return 1
	}
	return f()
}

func TestEveryFault(t *testing.T) {
	for _, host := range gallery.Addresses {
		for _, row := range gallery.Faults {
			host, row := host, row
			t.Run(row.Name+"/"+host, func(t *testing.T) {
				t.Parallel()
				err := Echo(net.JoinHostPort(host, strconv.Itoa(row.Port)), []byte("hello, world"), timeout)
				if got := ending(err); got != row.Ending {
					t.Errorf("%v: %s instead of %s; %s", err, got, row.Ending, row.Expect)
				}
			})
		}
	}
}

// ending is tcpecho's word for an error.
func ending(err error) string {
	var op *net.OpError
	timedOut := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case err == nil:
		return "finished"
	case errors.Is(err, ErrClosedEarly):
		return "closed-early"
	case errors.Is(err, ErrMismatch):
		return "mismatch"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &op) && op.Op == "dial" && op.Timeout():
		return "connect-timeout"
	case timedOut:
		return "timed-out"
	default:
		return "unknown"
	}
}
