// What a delta must be, computed by github.com/google/pprof/profile, which shares no code with the relay:
//
//	oracle sums PROFILE             prints the values of each stack
//	oracle delta TYPE,… OLD NEW     prints the values of each stack of NEW since OLD; the types are cumulative
//	oracle bare PROFILE OUTPUT      writes a profile in which all addresses are 0
//
// The output is JSON: {"STACK": {"TYPE": VALUE}}, without zeros. A stack is functions, files and lines from the leaf, and labels.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"

	"github.com/google/pprof/profile"
)

// Values by a text, one for each type.
type sums map[string][]int64

func main() {
	log.SetFlags(0)
	switch os.Args[1] {
	case "sums":
		read := parse(os.Args[2])
		output(read, byKey(read, lines))
	case "delta":
		delta(strings.Split(os.Args[2], ","), parse(os.Args[3]), parse(os.Args[4]))
	case "bare":
		bare(parse(os.Args[2]), os.Args[3])
	default:
		log.Fatalf("%s is no command", os.Args[1])
	}
}

// Reads a profile and checks that it is consistent.
func parse(path string) *profile.Profile {
	file, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	read, err := profile.Parse(file)
	if err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	return read
}

func bare(read *profile.Profile, path string) {
	for _, location := range read.Location {
		location.Address = 0
	}
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := read.Write(file); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}

// What a receiver sees of a location.
func lines(location *profile.Location) string {
	var text strings.Builder
	for _, line := range location.Line {
		fmt.Fprintf(&text, "%s %s:%d;", line.Function.Name, line.Function.Filename, line.Line)
	}
	return text.String()
}

// What tells stacks apart: addresses, or functions where an address is 0.
func identity(location *profile.Location) string {
	if location.Address != 0 {
		return fmt.Sprintf("%x;", location.Address)
	}
	return lines(location)
}

func key(sample *profile.Sample, text func(*profile.Location) string) string {
	var stack strings.Builder
	for _, location := range sample.Location {
		stack.WriteString(text(location))
	}
	var labels []string
	for name, values := range sample.Label {
		labels = append(labels, fmt.Sprintf("%s=%q", name, values))
	}
	for name, values := range sample.NumLabel {
		labels = append(labels, fmt.Sprintf("%s=%d%s", name, values, sample.NumUnit[name]))
	}
	sort.Strings(labels)
	return stack.String() + strings.Join(labels, " ")
}

func byKey(read *profile.Profile, text func(*profile.Location) string) sums {
	all := sums{}
	for _, sample := range read.Sample {
		add(all, key(sample, text), sample.Value)
	}
	return all
}

func add(all sums, key string, values []int64) {
	if all[key] == nil {
		all[key] = make([]int64, len(values))
	}
	for kind, value := range values {
		all[key][kind] += value
	}
}

// The sum of a type that fell means that the process was restarted: cumulative values are then 0.
func delta(cumulative []string, before, after *profile.Profile) {
	isCumulative := make([]bool, len(after.SampleType))
	for kind, sampleType := range after.SampleType {
		for _, name := range cumulative {
			isCumulative[kind] = isCumulative[kind] || sampleType.Type == name
		}
	}
	olds, news := byKey(before, identity), byKey(after, identity)
	isReset := false
	for kind := range isCumulative {
		isReset = isReset || isCumulative[kind] && total(news, kind) < total(olds, kind)
	}
	texts := map[string]string{}
	for _, sample := range after.Sample {
		texts[key(sample, identity)] = key(sample, lines)
	}
	all := sums{}
	for stack, values := range news {
		since := append([]int64(nil), values...)
		for kind := range since {
			if !isCumulative[kind] {
				continue
			}
			if old := olds[stack]; old != nil {
				since[kind] -= old[kind]
			}
			if isReset || since[kind] < 0 {
				since[kind] = 0
			}
		}
		add(all, texts[stack], since)
	}
	output(after, all)
}

func total(all sums, kind int) int64 {
	sum := int64(0)
	for _, values := range all {
		sum += values[kind]
	}
	return sum
}

func output(read *profile.Profile, all sums) {
	named := map[string]map[string]int64{}
	for stack, values := range all {
		for kind, value := range values {
			if value == 0 {
				continue
			}
			if named[stack] == nil {
				named[stack] = map[string]int64{}
			}
			named[stack][read.SampleType[kind].Type] = value
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(named); err != nil {
		log.Fatal(err)
	}
}
