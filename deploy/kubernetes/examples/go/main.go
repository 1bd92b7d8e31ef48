// Command app sends its profiles continuously to the relay beside it.
package main

import (
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/grafana/pyroscope-go"
)

func main() {
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: os.Getenv("PYROSCOPE_APPLICATION_NAME"),
		ServerAddress:   os.Getenv("PYROSCOPE_SERVER_ADDRESS"),
	})
	if err != nil {
		log.Fatal(err)
	}

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop // replace with your app

	// The relay ends after the app, so it still accepts this last upload.
	profiler.Flush(true)
	if err := profiler.Stop(); err != nil {
		log.Print(err)
	}
}
