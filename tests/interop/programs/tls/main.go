// Go's TLS on both sides of the relay: `tls serve` in front of a stand-in, and `tls send` as a client.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2:])
	case "send":
		send(os.Args[2:])
	default:
		log.Fatalf("unknown command %q", os.Args[1])
	}
}

// authorities reads a file of certificates.
func authorities(path string) *x509.CertPool {
	pem, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatalf("no certificate in %s", path)
	}
	return pool
}

// highest returns the highest version of TLS to speak.
func highest(version string) uint16 {
	if version == "1.2" {
		return tls.VersionTLS12
	}
	return tls.VersionTLS13
}
