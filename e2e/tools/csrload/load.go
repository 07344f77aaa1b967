package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const method = "/istio.v1.auth.IstioCertificateService/CreateCertificate"

// firstPause is how long agents wait before they try again; the pauses after it double.
const firstPause = 100 * time.Millisecond

// load is what is asked for.
type load struct {
	addr             string
	askers           []asker
	workers, perConn int
	total            int
	spread           bool
	retries          int
}

// outcome is what was seen: milliseconds of each certificate, errors by their texts.
type outcome struct {
	took    []float64
	errors  map[string]int
	retried int
	seconds float64
}

func (l load) run() (outcome, error) {
	jobs := make(chan int)
	done := outcome{errors: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var conn *grpc.ClientConn
	for w := range l.workers {
		if w%l.perConn == 0 {
			var err error
			if conn, err = l.connect(w / l.perConn); err != nil {
				return done, err
			}
		}
		wg.Add(1)
		go func(conn *grpc.ClientConn) {
			defer wg.Done()
			for j := range jobs {
				start := time.Now()
				retried, err := l.ask(conn, j)
				took := float64(time.Since(start).Microseconds()) / 1e3
				mu.Lock()
				done.retried += retried
				if err != nil {
					done.errors[err.Error()]++
				} else {
					done.took = append(done.took, took)
				}
				mu.Unlock()
			}
		}(conn)
	}
	start := time.Now()
	for i := range l.total {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	done.seconds = time.Since(start).Seconds()
	return done, nil
}

// connect prepares connection n; it is opened by its first request.
func (l load) connect(n int) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}))}
	if l.spread {
		local := &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>16), byte(n>>8), byte(n))}
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: local}).DialContext(ctx, "tcp", addr)
		}))
	}
	return grpc.NewClient(l.addr, options...)
}

// ask gets certificate j, and tries again as agents do; it says how often it did.
func (l load) ask(conn *grpc.ClientConn, j int) (int, error) {
	who := l.askers[j%len(l.askers)]
	csr := who.csrs[j/len(l.askers)%len(who.csrs)]
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+who.token, "clusterid", "Kubernetes")
	pause := firstPause
	for tried := 0; ; tried++ {
		err := create(ctx, conn, csr)
		if err == nil || tried == l.retries || !again(status.Code(err)) {
			return tried, err
		}
		time.Sleep(time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64())))
		pause *= 2
	}
}

// again says whether agents try again after an error of this code.
func again(code codes.Code) bool {
	switch code {
	case codes.Canceled, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted, codes.Internal, codes.Unavailable:
		return true
	}
	return false
}

// create asks once.
func create(ctx context.Context, conn *grpc.ClientConn, csr []byte) error {
	var req []byte
	req = protowire.AppendTag(req, 1, protowire.BytesType)
	req = protowire.AppendBytes(req, csr)
	req = protowire.AppendTag(req, 3, protowire.VarintType)
	req = protowire.AppendVarint(req, 86400)
	var resp []byte
	if err := conn.Invoke(ctx, method, req, &resp, grpc.ForceCodec(raw{})); err != nil {
		return err
	}
	if len(resp) == 0 {
		return fmt.Errorf("an answer without certificates")
	}
	return nil
}

// raw takes messages as they are on the wire.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *(v.(*[]byte)) = append([]byte(nil), b...); return nil }
func (raw) Name() string                    { return "proto" }
