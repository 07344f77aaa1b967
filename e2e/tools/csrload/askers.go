package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// requests is how many requests one asker takes turns with, if it is the only one.
const requests = 16

// asker is one who asks: its token, and requests with keys of their own.
type asker struct {
	token string
	csrs  [][]byte
}

// askers reads who asks: a file of identities, or else one id and the file of its token.
func askers(identities, uri, token string, useRSA bool) ([]asker, error) {
	if identities == "" {
		text, err := os.ReadFile(token)
		if err != nil {
			return nil, err
		}
		one, err := newAsker(uri, string(text), requests, useRSA)
		return []asker{one}, err
	}
	text, err := os.ReadFile(identities)
	if err != nil {
		return nil, err
	}
	var all []asker
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		id, bearer, found := strings.Cut(line, "\t")
		if !found {
			return nil, fmt.Errorf("%s:%d: no tab between id and token", identities, n+1)
		}
		one, err := newAsker(id, bearer, 1, useRSA)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", identities, n+1, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func newAsker(uri, token string, count int, useRSA bool) (asker, error) {
	one := asker{token: strings.TrimSpace(token)}
	u, err := url.Parse(uri)
	if err != nil {
		return one, err
	}
	for range count {
		csr, err := request(u, useRSA)
		if err != nil {
			return one, err
		}
		one.csrs = append(one.csrs, csr)
	}
	return one, nil
}

// request makes a request for a certificate with a new key, PEM.
func request(u *url.URL, useRSA bool) ([]byte, error) {
	var key crypto.Signer
	var err error
	if useRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{u}}, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), err
}
