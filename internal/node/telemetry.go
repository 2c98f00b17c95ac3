package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope is the instrumentation scope of Monarch's own meter and tracer.
const scope = "github.com/monarch-msn/monarch"

// telemetry holds the providers of one process.
//
// Traces and OTLP metrics follow the standard OTEL_ variables. Where those ask
// for nothing, nothing is exported: the exporters' own default, a collector on
// localhost, would fill the log of everybody who has none. Metrics are always
// in the registry, for /metrics; OTEL_SDK_DISABLED does not concern that.
type telemetry struct {
	registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider
	tracers  trace.TracerProvider
	// closers flush and end the providers.
	closers []func(context.Context) error
}

// openTelemetry makes the providers and sets them as global ones.
func openTelemetry(ctx context.Context, role string, log *slog.Logger) (*telemetry, error) {
	otel.SetErrorHandler(&exportErrors{log: log})
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))

	if err := checkEndpoints(); err != nil && !disabled() {
		return nil, usageError{err}
	}
	res, err := newResource(ctx, role)
	if err != nil {
		// What could be found is in res; the rest is no reason not to start.
		log.Warn("telemetry describes the process incompletely", "error", err)
	}
	t := &telemetry{registry: prometheus.NewRegistry()}

	// Its default translation adds the unit and _total only to names that
	// do not have them: an instrument may be called monarch_closes_total or
	// monarch_closes and is monarch_closes_total to Prometheus.
	prom, err := promexporter.New(promexporter.WithRegisterer(t.registry), promexporter.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("open telemetry: %w", err)
	}
	if err := t.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, fmt.Errorf("open telemetry: %w", err)
	}
	meterOpts := []sdkmetric.Option{
		sdkmetric.WithResource(res),
		sdkmetric.WithReader(prom),
		sdkmetric.WithView(secondsView),
	}
	if !configured("TRACES") {
		// Exemplars lead to traces, and looking for one takes time.
		meterOpts = append(meterOpts, sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	}
	if configured("METRICS") {
		// "prometheus" would open a second listener for what /metrics has.
		if os.Getenv("OTEL_METRICS_EXPORTER") != "prometheus" {
			reader, err := autoexport.NewMetricReader(ctx)
			if err != nil {
				return nil, usageError{fmt.Errorf("export metrics by %s: %w", chosen("METRICS"), err)}
			}
			meterOpts = append(meterOpts, sdkmetric.WithReader(reader))
		}
	}
	t.meters = sdkmetric.NewMeterProvider(meterOpts...)
	t.closers = append(t.closers, t.meters.Shutdown)

	// Without an exporter nobody would read spans, so no trace begins here; one
	// begun elsewhere passes through and stays sampled.
	t.tracers = noop.NewTracerProvider()
	if configured("TRACES") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, errors.Join(
				usageError{fmt.Errorf("export traces by %s: %w", chosen("TRACES"), err)},
				t.close(ctx))
		}
		tracers := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter))
		t.closers = append(t.closers, tracers.Shutdown)
		t.tracers = tracers
	}

	otel.SetMeterProvider(t.meters)
	otel.SetTracerProvider(t.tracers)
	if err := t.instrument(role); err != nil {
		return nil, errors.Join(fmt.Errorf("open telemetry: %w", err), t.close(ctx))
	}
	return t, nil
}

// instrument adds what the process says of itself.
func (t *telemetry) instrument(role string) error {
	if err := runtime.Start(runtime.WithMeterProvider(t.meters)); err != nil {
		return err
	}
	build := Version()
	info := metric.WithAttributes(
		attribute.String("version", build.Version),
		attribute.String("commit", build.Commit),
		attribute.String("go", build.Go),
		attribute.String("role", role),
	)
	_, err := t.meters.Meter(scope).Int64ObservableGauge("monarch_build_info",
		metric.WithDescription("What is running: always 1, the labels say it."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, info)
			return nil
		}))
	return err
}

// close flushes and ends the providers.
func (t *telemetry) close(ctx context.Context) error {
	var errs []error
	for _, end := range slices.Backward(t.closers) {
		errs = append(errs, end(ctx))
	}
	return errors.Join(errs...)
}

// configured says whether the environment asks to export a signal, METRICS or
// TRACES.
func configured(signal string) bool {
	if disabled() {
		return false
	}
	for _, name := range []string{
		"OTEL_" + signal + "_EXPORTER",
		"OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT",
	} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// disabled says whether the environment asks to export nothing whatsoever.
func disabled() bool { return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") }

// checkEndpoints returns all faults of the variables that say where to export to.
// The exporters themselves would take another address, or none.
func checkEndpoints() error {
	var faults []error
	for _, signal := range []string{"", "METRICS_", "TRACES_"} {
		name := "OTEL_EXPORTER_OTLP_" + signal + "ENDPOINT"
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			faults = append(faults, fmt.Errorf("%s=%q is no URL like http://collector:4318", name, value))
		}
	}
	return errors.Join(faults...)
}

// chosen names the variables that say how a signal is exported, and what they
// say.
func chosen(signal string) string {
	var set []string
	for _, name := range []string{
		"OTEL_" + signal + "_EXPORTER",
		"OTEL_" + signal + "_PRODUCERS",
		"OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL",
	} {
		if value := os.Getenv(name); value != "" {
			set = append(set, fmt.Sprintf("%s=%q", name, value))
		}
	}
	return cmp.Or(strings.Join(set, " and "), "the OTEL_ variables")
}

// newResource describes the process; OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES have the last word.
func newResource(ctx context.Context, role string) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithService(), // service.instance.id
		resource.WithAttributes(
			attribute.String("service.namespace", "monarch"),
			attribute.String("service.name", "monarch-"+role),
			attribute.String("service.version", Version().Version),
		),
		resource.WithFromEnv(),
	)
}

// seconds are the bounds of our histograms of durations: from a command that
// is answered from memory to one that ran into its deadline. The SDK's own
// bounds are made for milliseconds.
var seconds = []float64{
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
	0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
}

// secondsView applies to Monarch's own instruments; those of libraries bring
// their bounds along.
func secondsView(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if i.Kind != sdkmetric.InstrumentKindHistogram || !strings.HasPrefix(i.Name, "monarch") ||
		(i.Unit != "s" && !strings.HasSuffix(i.Name, "_seconds")) {
		return sdkmetric.Stream{}, false
	}
	return sdkmetric.Stream{
		Name:        i.Name,
		Description: i.Description,
		Unit:        i.Unit,
		Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: seconds},
	}, true
}

// exportErrors logs the errors of exporters, at most one a minute: a collector
// that is away fails at every export.
type exportErrors struct {
	log *slog.Logger

	mu       sync.Mutex
	quiet    time.Time // nothing is logged before
	withheld int
}

// Handle implements otel.ErrorHandler.
func (e *exportErrors) Handle(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if now.Before(e.quiet) {
		e.withheld++
		return
	}
	e.log.Warn("telemetry was not exported", "error", err, "withheld", e.withheld)
	e.quiet, e.withheld = now.Add(time.Minute), 0
}
