// A program to scrape: `app ADDRESS` serves net/http/pprof and godeltaprof, and prints the address on which it listens.
//
// Each endpoint does a known amount of work: GET /allocate?count=N&size=BYTES[&keep=1], /release, and
// /contend?count=N&millis=N. A goroutine keeps about a tenth of one processor busy for CPU profiles.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	_ "github.com/grafana/pyroscope-go/godeltaprof/http/pprof"
)

var (
	kept   [][]byte
	sink   []byte
	number uint64
)

func init() {
	// Every allocation and every wait is in the profiles, without sampling.
	runtime.MemProfileRate = 1
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
}

//go:noinline
func allocate(size int) []byte {
	return make([]byte, size)
}

//go:noinline
func burn(end time.Time) {
	for time.Now().Before(end) {
		for step := uint64(0); step < 10_000; step++ {
			number ^= step * step
		}
	}
}

// Lets one goroutine wait for a lock that another one holds.
//
//go:noinline
func contend(hold time.Duration) {
	var lock sync.Mutex
	var done sync.WaitGroup
	lock.Lock()
	done.Add(1)
	go func() {
		defer done.Done()
		lock.Lock()
		lock.Unlock() //nolint:staticcheck
	}()
	time.Sleep(hold)
	lock.Unlock()
	done.Wait()
}

func parameter(request *http.Request, name string) int {
	value, err := strconv.Atoi(request.FormValue(name))
	if err != nil {
		return 0
	}
	return value
}

func main() {
	http.HandleFunc("GET /allocate", func(_ http.ResponseWriter, request *http.Request) {
		size := parameter(request, "size")
		for left := parameter(request, "count"); left > 0; left-- {
			sink = allocate(size)
			if parameter(request, "keep") == 1 {
				kept = append(kept, sink)
			}
		}
		sink = nil
		// The profile of the memory is that of the last collection.
		runtime.GC()
	})
	http.HandleFunc("GET /release", func(http.ResponseWriter, *http.Request) {
		kept = nil
		runtime.GC()
	})
	http.HandleFunc("GET /contend", func(_ http.ResponseWriter, request *http.Request) {
		hold := time.Duration(parameter(request, "millis")) * time.Millisecond
		for left := parameter(request, "count"); left > 0; left-- {
			contend(hold)
		}
	})
	go func() {
		for {
			burn(time.Now().Add(10 * time.Millisecond))
			time.Sleep(90 * time.Millisecond)
		}
	}()
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
