package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line of a CSV file in bytes.
const maxLine = 64 << 10

// csvReader reads records of one line each. No field of ours may hold a line
// break, and so a quote that never ends spoils its own line and not the rest
// of the file, which is why encoding/csv is not used.
type csvReader struct {
	src  *bufio.Reader
	line int
}

func newCSVReader(src io.Reader) *csvReader {
	return &csvReader{src: bufio.NewReaderSize(src, maxLine)}
}

// next returns the fields of the next line that is not empty, and its number
// from 1. An error of type rowError concerns that line alone. At the end it
// returns io.EOF.
func (c *csvReader) next() (fields []string, line int, err error) {
	for {
		text, err := c.readLine()
		if c.line == 1 && err == nil {
			text = strings.TrimPrefix(text, "\uFEFF") // Spreadsheets begin UTF-8 files with it.
		}
		switch {
		case err != nil:
			return nil, c.line, err
		case strings.TrimSpace(text) == "":
			continue
		case !utf8.ValidString(text):
			return nil, c.line, rowError{errors.New("the line is not UTF-8 text")}
		}
		fields, err := splitFields(text)
		if err != nil {
			return nil, c.line, rowError{err}
		}
		return fields, c.line, nil
	}
}

// rowError is the fault of one line.
type rowError struct{ error }

// readLine returns the next line without its ending.
func (c *csvReader) readLine() (string, error) {
	text, err := c.src.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(text) > 0 {
		err = nil
	}
	if err == nil {
		c.line++
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return "", err
	}
	c.line++
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = c.src.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return "", rowError{fmt.Errorf("the line is longer than %d bytes", maxLine)}
}

// splitFields splits a line as RFC 4180 has it: a field that holds a comma or
// a quote stands in quotes, where a quote is doubled.
func splitFields(line string) ([]string, error) {
	var fields []string
	for {
		var field string
		if strings.HasPrefix(line, `"`) {
			var err error
			field, line, err = quotedField(line[1:])
			if err != nil {
				return nil, err
			}
		} else {
			end := strings.IndexByte(line, ',')
			if end < 0 {
				end = len(line)
			}
			field, line = line[:end], line[end:]
			if strings.Contains(field, `"`) {
				return nil, errors.New(`a quote stands inside a field (put the whole field in quotes and double each quote in it)`)
			}
		}
		fields = append(fields, field)
		if line == "" {
			return fields, nil
		}
		line = line[1:] // The comma.
	}
}

// quotedField reads a field behind its first quote, and returns what follows
// its last one: nothing, or a comma and more.
func quotedField(s string) (field, rest string, err error) {
	var text strings.Builder
	for {
		end := strings.IndexByte(s, '"')
		if end < 0 {
			return "", "", errors.New("a quoted field has no end")
		}
		text.WriteString(s[:end])
		s = s[end+1:]
		switch {
		case strings.HasPrefix(s, `"`):
			text.WriteByte('"')
			s = s[1:]
		case s == "" || s[0] == ',':
			return text.String(), s, nil
		default:
			return "", "", errors.New("a quoted field is followed by something other than a comma")
		}
	}
}

// wrongCount is the fault of a line with n fields.
func wrongCount(n int, columns string) error {
	if n == 1 {
		return fmt.Errorf("there is one field where %s is wanted", columns)
	}
	return fmt.Errorf("there are %d fields where %s is wanted (put a field that holds a comma in quotes)", n, columns)
}
