package operator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// readJSON decodes the body of r, which must be one JSON object with no
// fields but those of into. The error is a refusal.
func readJSON(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); err == nil {
			return refuse(http.StatusBadRequest, "the body holds more than one JSON value")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return refuse(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", tooLong.Limit)
	}
	if errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "the body is empty where JSON is wanted")
	}
	return refuse(http.StatusBadRequest, "the body is not the JSON that is wanted: %v", err)
}

// writeAnswer writes what a handler returned and gives the status it wrote.
// Status 0 means 200, or 204 where there is no answer. A client that hung up
// meanwhile is nobody's fault, so write errors are not looked at.
func writeAnswer(w http.ResponseWriter, status int, answer any) int {
	switch answer := answer.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	case document:
		w.Header().Set("Content-Type", answer.contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
		_, _ = w.Write(answer.body)
		return http.StatusOK
	default:
		if status == 0 {
			status = http.StatusOK
		}
		writeJSON(w, status, answer)
		return status
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // The shapes of package api always encode.
}
