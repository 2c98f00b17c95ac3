// Command image builds the container image of the version ahead of this one:
//
//	go run ./test/previous/image -o DIR
//
// Its name is monarch-previous. Where there is no history it is the image of this
// tree.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/monarch-msn/monarch/test/previous"
)

// name is that of the image.
const name = "monarch-previous"

func main() {
	out := flag.String("o", "bin/images/previous", "directory for the archive")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(out string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	tree := previous.Tree(root)
	commit, err := tree.Commit()
	switch {
	case errors.Is(err, previous.ErrNoHistory) && os.Getenv(previous.Variable) == "":
		fmt.Printf("%v, so the previous version is this tree\n", err)
		return build(root, out)
	case err != nil:
		return err
	}
	dir, err := os.MkdirTemp("", "monarch-previous-")
	if err != nil {
		return fmt.Errorf("make a directory for the sources: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := tree.Export(commit, dir); err != nil {
		return err
	}
	fmt.Printf("the previous version is %.12s\n", commit)
	return build(dir, out)
}

// build has the tree in dir build its own image.
func build(dir, out string) error {
	cmd := exec.Command("go", "run", "./deploy/image", "-name", name, "-o", out)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=", "PWD="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the image: %w", err)
	}
	return nil
}
