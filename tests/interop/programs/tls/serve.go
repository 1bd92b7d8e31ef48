package main

import (
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
)

// server is one listener of the file that `serve` reads.
type server struct {
	Address, Backend, Cert, Key, ClientCA, Clients, Max string
	Plain                                               bool
}

// pair is a certificate whose files are read again for each handshake. Files that do not fit together change nothing.
type pair struct {
	lock      sync.Mutex
	cert, key string
	last      *tls.Certificate
}

func (pair *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair.lock.Lock()
	defer pair.lock.Unlock()
	read, err := tls.LoadX509KeyPair(pair.cert, pair.key)
	if err == nil {
		pair.last = &read
	}
	if pair.last == nil {
		return nil, err
	}
	return pair.last, nil
}

// serve runs the listeners of a JSON file. Each passes requests on, with the serial of the client's certificate.
func serve(arguments []string) {
	text, err := os.ReadFile(arguments[0])
	if err != nil {
		log.Fatal(err)
	}
	var servers []server
	if err := json.Unmarshal(text, &servers); err != nil {
		log.Fatal(err)
	}
	for _, server := range servers {
		go server.run()
	}
	select {}
}

func (server *server) run() {
	backend, err := url.Parse(server.Backend)
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(backend)
	handler := func(response http.ResponseWriter, request *http.Request) {
		if request.TLS != nil && len(request.TLS.PeerCertificates) > 0 {
			serial := request.TLS.PeerCertificates[0].SerialNumber.Bytes()
			request.Header.Set("X-Client-Serial", strings.ToUpper(hex.EncodeToString(serial)))
		}
		proxy.ServeHTTP(response, request)
	}
	listener, err := net.Listen("tcp", server.Address)
	if err != nil {
		log.Fatal(err)
	}
	serving := &http.Server{Handler: http.HandlerFunc(handler), TLSConfig: server.tls()}
	if server.Plain {
		log.Fatal(serving.Serve(listener))
	}
	log.Fatal(serving.ServeTLS(listener, "", ""))
}

func (server *server) tls() *tls.Config {
	pair := &pair{cert: server.Cert, key: server.Key}
	config := &tls.Config{GetCertificate: pair.get, MaxVersion: highest(server.Max)}
	switch server.Clients {
	case "optional":
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case "on":
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if server.Clients != "off" {
		config.ClientCAs = authorities(server.ClientCA)
	}
	return config
}
