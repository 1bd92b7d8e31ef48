// Reads a configuration with Alloy's own parser, and prints the name of each block at the top level.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
)

func main() {
	path := os.Args[1]
	text, err := os.ReadFile(path)
	if err != nil {
		fail(err)
	}
	file, err := parser.ParseFile(path, text)
	if err != nil {
		fail(err)
	}
	for _, statement := range file.Body {
		block, ok := statement.(*ast.BlockStmt)
		if !ok {
			fail(fmt.Errorf("%s: something other than a block at the top level", path))
		}
		fmt.Println(strings.Join(append(block.Name, block.Label), "."))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
