{{/* The name that all objects begin with. Behind it the longest is
     "-notification" and what Kubernetes adds to the pods of a StatefulSet. */}}
{{- define "monarch.name" -}}
{{- if contains "monarch" .Release.Name -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-monarch" (.Release.Name | trunc 28 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a role: (dict "root" $ "role" "dispatch"). */}}
{{- define "monarch.selector" -}}
app.kubernetes.io/name: monarch
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* The labels of an object, but for pods: those would be replaced, and their
     clients sent away, with every version of the chart. */}}
{{- define "monarch.labels" -}}
{{ include "monarch.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The metadata of an object: (dict "root" $ "role" "dispatch" "name" "monarch-dispatch"). */}}
{{- define "monarch.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "monarch.labels" . | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Most pods that a role with an address for each may have. */}}
{{- define "monarch.pods" -}}
{{- if .autoscaling.enabled }}{{ .autoscaling.maxReplicas }}{{ else }}{{ .replicas }}{{ end -}}
{{- end -}}

{{/* One pod of a role at a time may be evicted, and one that is broken always. */}}
{{- define "monarch.disruptionBudget" -}}
{{- if .root.Values.podDisruptionBudgets }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "monarch.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "monarch.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
