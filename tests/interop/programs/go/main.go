// Keeps a processor busy under the profiler for a while: `busy SERVER SECONDS`.
package main

import (
	"log"
	"os"
	"strconv"
	"time"

	"github.com/grafana/pyroscope-go"
)

var sink uint64

func main() {
	seconds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName:   "interop.go",
		ServerAddress:     os.Args[1],
		BasicAuthUser:     "sdk-user",
		BasicAuthPassword: "sdk-password",
		TenantID:          "sdk-tenant",
		Tags:              map[string]string{"region": "eu", "zone": "a"},
		UploadRate:        time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		for number := uint64(0); number < 10_000; number++ {
			sink ^= number * number
		}
	}
	// Stop alone would not wait for uploads in progress.
	profiler.Flush(true)
	if err := profiler.Stop(); err != nil {
		log.Fatal(err)
	}
}
