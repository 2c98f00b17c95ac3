{{/* The host that clients are sent to, which may be a template of --advertise. */}}
{{- define "monarch.host" -}}
{{- if .Values.exposure.host -}}
{{- .Values.exposure.host -}}
{{- else if has .Values.exposure.mode (list "loadBalancer" "shared") -}}
{loadBalancer}
{{- else -}}
{hostIP}
{{- end -}}
{{- end -}}

{{/* The same for dispatch, whose pods share an address. */}}
{{- define "monarch.dispatchHost" -}}
{{- $host := include "monarch.host" . -}}
{{- if .Values.exposure.dispatchHost -}}
{{- .Values.exposure.dispatchHost -}}
{{- else if and (contains "{podName}" $host) (has .Values.exposure.mode (list "loadBalancer" "shared")) -}}
{loadBalancer}
{{- else -}}
{{- $host -}}
{{- end -}}
{{- end -}}

{{/* Where clients reach a pod of a role: (dict "root" $ "role" "notification"). */}}
{{- define "monarch.address" -}}
{{- $exposure := .root.Values.exposure -}}
{{- $host := ternary (include "monarch.dispatchHost" .root) (include "monarch.host" .root) (eq .role "dispatch") -}}
{{- $port := 1863 -}}
{{- if has $exposure.mode (list "nodePort" "hostPort" "gateway") -}}
{{- $port = index $exposure $exposure.mode .role | int -}}
{{- end -}}
{{- if and (ne .role "dispatch") (has $exposure.mode (list "nodePort" "gateway")) -}}
{{- $port = printf "{%d+index}" $port -}}
{{- end -}}
{{ printf "%s:%v" $host $port }}
{{- end -}}

{{/* The spec of a Service by which clients reach a role, without its ports:
     (dict "root" $ "type" "LoadBalancer"). */}}
{{- define "monarch.clientService" -}}
type: {{ .type }}
{{- with .root.Values.exposure }}
{{- if eq $.type "NodePort" }}
externalTrafficPolicy: {{ .nodePort.externalTrafficPolicy }}
{{- else if eq $.type "LoadBalancer" }}
externalTrafficPolicy: {{ .loadBalancer.externalTrafficPolicy }}
{{- with .loadBalancer.class }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancer.sourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The type of the Services by which clients reach pods, or nothing. */}}
{{- define "monarch.serviceType" -}}
{{- get (dict "nodePort" "NodePort" "loadBalancer" "LoadBalancer" "shared" "LoadBalancer" "gateway" "ClusterIP") .Values.exposure.mode -}}
{{- end -}}

{{/* What the templates in a host need to know of a pod. Its name and index are
     its host name's. */}}
{{- define "monarch.podEnv" -}}
{{- $host := . -}}
{{- if contains "{hostIP}" $host -}}
- name: MONARCH_POD_HOST_IP
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
{{ end -}}
{{- if or (contains "{nodeName}" $host) (contains "{externalIP}" $host) -}}
- name: MONARCH_POD_NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{ end -}}
{{- end -}}

{{/* The Services that are asked for the address of a load balancer, as a JSON
     list. */}}
{{- define "monarch.addressServices" -}}
{{- $all := list -}}
{{- if contains "{loadBalancer}" (include "monarch.dispatchHost" .) -}}
{{- $all = append $all (printf "%s-dispatch" (include "monarch.name" .)) -}}
{{- end -}}
{{- if contains "{loadBalancer}" (include "monarch.host" .) -}}
{{- range $role := list "notification" "switchboard" -}}
{{- $name := printf "%s-%s" (include "monarch.name" $) $role -}}
{{- if eq $.Values.exposure.mode "shared" -}}
{{- $all = append $all (printf "%s-clients" $name) -}}
{{- else -}}
{{- range $i := until (include "monarch.pods" (index $.Values $role) | int) -}}
{{- $all = append $all (printf "%s-%d" $name $i) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}
