// Package csvfile reads the files of accounts and contacts that the commands
// take, all in the same way.
package csvfile

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

// Reader reads records of one line each. No field of ours may hold a line
// break, and so a quote that never ends spoils its own line and not the rest
// of the file, which is why encoding/csv is not used.
type Reader struct {
	src     *bufio.Reader
	heading string
	line    int
	begun   bool // a line that is not empty was read
}

// New returns a Reader that leaves out a first line whose first field is the
// heading, in any case of letters.
func New(src io.Reader, heading string) *Reader {
	return &Reader{src: bufio.NewReaderSize(src, maxLine), heading: heading}
}

// Line is the number of the last line that was read, from 1.
func (r *Reader) Line() int { return r.line }

// Next returns the fields of the next line that is not empty, and its number.
// An error of type RowError concerns that line alone. At the end it returns
// io.EOF.
func (r *Reader) Next() (fields []string, line int, err error) {
	for {
		fields, err = r.next()
		first := !r.begun
		r.begun = true
		if first && err == nil && strings.EqualFold(strings.TrimSpace(fields[0]), r.heading) {
			continue
		}
		return fields, r.line, err
	}
}

func (r *Reader) next() ([]string, error) {
	for {
		text, err := r.readLine()
		if r.line == 1 && err == nil {
			text = strings.TrimPrefix(text, "\uFEFF") // Spreadsheets begin UTF-8 files with it.
		}
		switch {
		case err != nil:
			return nil, err
		case strings.TrimSpace(text) == "":
			continue
		case !utf8.ValidString(text):
			return nil, RowError{errors.New("the line is not UTF-8 text")}
		}
		fields, err := splitFields(text)
		if err != nil {
			return nil, RowError{err}
		}
		return fields, nil
	}
}

// RowError is the fault of one line.
type RowError struct{ error }

// readLine returns the next line without its ending.
func (r *Reader) readLine() (string, error) {
	text, err := r.src.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(text) > 0 {
		err = nil
	}
	if err == nil {
		r.line++
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return "", err
	}
	r.line++
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.src.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return "", RowError{fmt.Errorf("the line is longer than %d bytes", maxLine)}
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
