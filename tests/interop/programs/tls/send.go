package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

// answer is a line of output: how one request went.
type answer struct {
	Status   int
	Protocol string
	Error    string
}

// send posts profiles until a number or a time is reached.
func send(arguments []string) {
	flags := flag.NewFlagSet("send", flag.ExitOnError)
	ca := flags.String("ca", "", "authorities of the server")
	cert := flags.String("cert", "", "certificate of the client")
	key := flags.String("key", "", "key of the certificate")
	name := flags.String("name", "", "name of the server, instead of the host")
	max := flags.String("max", "1.3", "highest version of TLS")
	http1 := flags.Bool("http1", false, "no HTTP/2")
	fresh := flags.Bool("fresh", false, "a connection for each request, with resumed sessions")
	seconds := flags.Float64("seconds", 0, "how long to send; 0 is one request")
	flags.Parse(arguments)

	config := &tls.Config{
		RootCAs:            authorities(*ca),
		ServerName:         *name,
		MaxVersion:         highest(*max),
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			// Given also if the server names other authorities.
			return &pair, nil
		}
	}
	transport := &http.Transport{
		TLSClientConfig:   config,
		ForceAttemptHTTP2: !*http1,
		DisableKeepAlives: *fresh,
	}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	lines := json.NewEncoder(os.Stdout)
	end := time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	for number := 0; number == 0 || time.Now().Before(end); number++ {
		target := fmt.Sprintf("%s&from=%d&until=%d", flags.Arg(0), number, number+1)
		lines.Encode(post(client, target))
		if *seconds > 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func post(client *http.Client, url string) answer {
	body := bytes.NewReader([]byte("profile"))
	response, err := client.Post(url, "application/octet-stream", body)
	if err != nil {
		return answer{Error: err.Error()}
	}
	response.Body.Close()
	return answer{Status: response.StatusCode, Protocol: response.Proto}
}
