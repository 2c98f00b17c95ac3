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

{{/* The port at which clients reach pod {index} of a role, as a template of
     --advertise: (dict "root" $ "role" "notification"). */}}
{{- define "monarch.port" -}}
{{- $exposure := .root.Values.exposure -}}
{{- if has $exposure.mode (list "nodePort" "gateway") -}}
{{ printf "{%d+index}" (index $exposure $exposure.mode .role | int) }}
{{- else if eq $exposure.mode "hostPort" -}}
{{ index $exposure.hostPort .role | int }}
{{- else -}}
1863
{{- end -}}
{{- end -}}

{{/* The name of Kubernetes for what a pod has to ask it for, or nothing. */}}
{{- define "monarch.asks" -}}
{{- $host := include "monarch.host" . -}}
{{- if contains "{loadBalancer}" $host }}services{{ else if contains "{externalIP}" $host }}nodes{{ end -}}
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

{{/* What the templates of --advertise need to know of a pod. Its name and
     index are its host name's. */}}
{{- define "monarch.podEnv" -}}
{{- $host := include "monarch.host" . -}}
{{- if or (contains "{hostIP}" $host) (contains "{externalIP}" $host) -}}
- name: MONARCH_POD_HOST_IP
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
{{ end -}}
{{- if or (contains "{nodeName}" $host) (contains "{externalIP}" $host) -}}
- name: MONARCH_POD_NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- end -}}
{{- end -}}

{{/* The Services that pods of a role ask for the address of a load balancer, as
     a JSON list: (dict "root" $ "role" "notification"). */}}
{{- define "monarch.addressServices" -}}
{{- $name := printf "%s-%s" (include "monarch.name" .root) .role -}}
{{- $all := list -}}
{{- if eq .root.Values.exposure.mode "shared" -}}
{{- $all = append $all (printf "%s-clients" $name) -}}
{{- else -}}
{{- range $i := until (include "monarch.pods" (index .root.Values .role) | int) -}}
{{- $all = append $all (printf "%s-%d" $name $i) -}}
{{- end -}}
{{- end -}}
{{- $all | toJson -}}
{{- end -}}
