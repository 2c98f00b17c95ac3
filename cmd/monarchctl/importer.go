package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/cmd/internal/csvfile"
	"github.com/monarch-msn/monarch/services/operator/api"
)

const (
	// importers is how many batches of an import are under way at once.
	importers = 4
	// roundRows is how many rows are read, sent and accounted for together.
	roundRows = importers * 500
)

// importer reads rows of type R from a CSV file and sends them in batches.
//
// It works in rounds of roundRows rows, so that memory is bounded and problems
// are printed in the order of the file. Rows of one key go out in the order of
// the file; others may overtake each other within a round.
type importer[R any] struct {
	noun    string                           // what the rows are, in the plural
	done    string                           // what is done to them, in the past
	header  string                           // first field of a first line that is a heading and no row
	already string                           // reason of a row that is there already
	parse   func(fields []string) (R, error) // with an error, the row as far as it is known
	key     func(R) string
	label   func(R) string // names a row in a problem; "" where nothing is known
	send    func(context.Context, []R) (api.BatchResult, error)
}

// numbered is a row and the line it stands on.
type numbered[R any] struct {
	line int
	row  R
}

// problem is a line that was not done.
type problem struct {
	Line int    `json:"line"`
	Row  string `json:"row,omitempty"`
	// Existing is set where the row is there already.
	Existing bool   `json:"existing"`
	Error    string `json:"error"`
}

// tally counts what became of the rows. Unless a fault ended the import, the
// other three add up to Rows.
type tally struct {
	Rows     int `json:"rows"`
	Done     int `json:"done"`
	Existing int `json:"existing"`
	Rejected int `json:"rejected"`
}

// run imports the file called name, or standard input for "-". It returns
// errRejected if there were problems, all of which it has printed.
func (i *importer[R]) run(ctx context.Context, a *app, name string) error {
	file, lines, err := a.openImport(name)
	if err != nil {
		return err
	}
	defer file.Close()
	var (
		src   = csvfile.New(file, i.header)
		bar   = newProgress(a.err, i.noun, lines)
		out   = a.newProblems(bar)
		total tally
	)
	for {
		reached := src.Line()
		rows, problems, end := i.read(src)
		total.Rows += len(rows) + len(problems)
		done, refused, fault := i.sendRows(ctx, bar, rows)
		total.Done += done
		problems = append(problems, refused...)
		slices.SortFunc(problems, func(a, b problem) int { return cmp.Compare(a.Line, b.Line) })
		for _, p := range problems {
			if p.Existing {
				total.Existing++
			} else {
				total.Rejected++
			}
			out.print(p)
		}
		bar.set(src.Line())
		switch {
		case fault != nil:
			err = fmt.Errorf("%w; every line up to %d has been seen to, later ones may have been: import the file again, what is there already will not be changed", fault, reached)
		case errors.Is(end, io.EOF):
			if total.Existing+total.Rejected > 0 {
				err = errRejected
			}
		case end != nil:
			err = fmt.Errorf("read %s behind line %d: %w", name, src.Line(), cause(end))
		default:
			continue
		}
		break
	}
	bar.end()
	summary := fmt.Sprintf("%s: %d %s, %d already there, %d rejected", i.noun, total.Done, i.done, total.Existing, total.Rejected)
	if broken := out.end(total, summary); broken != nil {
		return broken
	}
	return err
}

// read reads up to roundRows rows. Lines that hold no row are problems. The
// error says why it read no more: nil for a full round, io.EOF at the end.
func (i *importer[R]) read(src *csvfile.Reader) (rows []numbered[R], problems []problem, err error) {
	for len(rows)+len(problems) < roundRows {
		fields, line, err := src.Next()
		var spoilt csvfile.RowError
		switch {
		case errors.As(err, &spoilt):
			problems = append(problems, problem{Line: line, Error: spoilt.Error()})
			continue
		case err != nil:
			return rows, problems, err
		}
		row, err := i.parse(fields)
		if err != nil {
			problems = append(problems, problem{Line: line, Row: i.label(row), Error: err.Error()})
			continue
		}
		rows = append(rows, numbered[R]{line, row})
	}
	return rows, problems, nil
}

// sendRows sends the rows of one round, several batches at once. After a
// fault it starts no further batch, but waits for those under way.
func (i *importer[R]) sendRows(ctx context.Context, bar progress, rows []numbered[R]) (done int, problems []problem, err error) {
	var shards [importers][]numbered[R]
	for _, r := range rows {
		h := fnv.New32a()
		_, _ = io.WriteString(h, strings.ToLower(i.key(r.row))) // A hash takes everything.
		n := h.Sum32() % importers
		shards[n] = append(shards[n], r)
	}
	var results [importers]struct {
		done     int
		problems []problem
	}
	var group errgroup.Group
	for n, shard := range shards {
		group.Go(func() error {
			for batch := range slices.Chunk(shard, api.MaxRows) {
				done, problems, err := i.sendBatch(ctx, batch)
				if err != nil {
					return err
				}
				results[n].done += done
				results[n].problems = append(results[n].problems, problems...)
				bar.add(len(batch))
			}
			return nil
		})
	}
	err = group.Wait()
	for _, r := range results {
		done += r.done
		problems = append(problems, r.problems...)
	}
	return done, problems, err
}

// sendBatch sends one request and finds the lines that its answer speaks of.
func (i *importer[R]) sendBatch(ctx context.Context, batch []numbered[R]) (done int, problems []problem, err error) {
	rows := make([]R, len(batch))
	for n, r := range batch {
		rows[n] = r.row
	}
	result, err := i.send(ctx, rows)
	if err != nil {
		return 0, nil, fmt.Errorf("import %s: %w", i.noun, err)
	}
	for _, e := range result.Errors {
		if e.Row < 0 || e.Row >= len(batch) {
			return 0, nil, fmt.Errorf("import %s: the answer speaks of row %d of %d", i.noun, e.Row, len(batch))
		}
		problems = append(problems, problem{
			Line:     batch[e.Row].line,
			Row:      i.label(batch[e.Row].row),
			Existing: e.Reason == i.already,
			Error:    e.Error,
		})
	}
	return result.Done, problems, nil
}

// wrongCount is the fault of a line with n fields.
func wrongCount(n int, columns string) error {
	if n == 1 {
		return fmt.Errorf("there is one field where %s is wanted", columns)
	}
	return fmt.Errorf("there are %d fields where %s is wanted (put a field that holds a comma in quotes)", n, columns)
}
