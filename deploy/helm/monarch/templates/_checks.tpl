{{/* Refuses values that contradict each other, with a sentence. */}}
{{- define "monarch.checks" -}}
{{- $v := .Values -}}
{{- $mode := $v.exposure.mode -}}
{{- $host := include "monarch.host" . -}}
{{- $notifications := include "monarch.pods" $v.notification | int -}}
{{- $switchboards := include "monarch.pods" $v.switchboard | int -}}

{{- if and (eq $v.database.kind "sqlite") (gt ($v.directory.replicas | int) 1) -}}
{{- fail (printf "directory.replicas is %d, and SQLite has one directory: set it to 1, or database.kind to postgres" ($v.directory.replicas | int)) -}}
{{- end -}}

{{- range $role := list "notification" "switchboard" -}}
{{- $r := index $v $role -}}
{{- if and $r.autoscaling.enabled (lt ($r.autoscaling.maxReplicas | int) ($r.replicas | int)) -}}
{{- fail (printf "%s.autoscaling.maxReplicas is %d, and %s.replicas, from which it begins, is %d" $role ($r.autoscaling.maxReplicas | int) $role ($r.replicas | int)) -}}
{{- end -}}
{{- if gt ($r.autoscaling.target | int) ($r.capacity | int) -}}
{{- fail (printf "%s.autoscaling.target is %d, and a pod has only %d, its %s.capacity" $role ($r.autoscaling.target | int) ($r.capacity | int) $role) -}}
{{- end -}}
{{- end -}}

{{- if and (eq $mode "gateway") (not $v.exposure.host) -}}
{{- fail "exposure.mode is gateway: set exposure.host to the name or address of the gateway, to which clients are sent" -}}
{{- end -}}
{{- if and (eq $mode "gateway") (not $v.exposure.gateway.className) -}}
{{- fail "exposure.mode is gateway: set exposure.gateway.className to a GatewayClass of the cluster" -}}
{{- end -}}
{{- if and (eq $mode "gateway") (gt (add 1 $notifications $switchboards | int) 64) -}}
{{- fail (printf "a Gateway has 64 listeners at most, and %d pods of notification, %d of switchboard and dispatch need one each" $notifications $switchboards) -}}
{{- end -}}
{{- if and (eq $mode "shared") (gt $switchboards 1) -}}
{{- fail (printf "exposure.mode is shared, and a shared address leads to any of %d switchboards, but a conversation is on one: set switchboard.replicas to 1 and its autoscaling off" $switchboards) -}}
{{- end -}}

{{- $own := or (contains "{loadBalancer}" $host) (contains "{podName}" $host) -}}
{{- if and (has $mode (list "loadBalancer" "shared")) (not $own) -}}
{{- fail (printf "exposure.host is %s, and with exposure.mode %s there are several load balancers with the same port: leave it empty, or tell them apart by {podName}" $host $mode) -}}
{{- end -}}
{{- $dispatch := include "monarch.dispatchHost" . -}}
{{- if or (contains "{index}" $dispatch) (contains "{podName}" $dispatch) -}}
{{- fail (printf "dispatch has one address for all of its pods, and not %s: set exposure.dispatchHost" $dispatch) -}}
{{- end -}}

{{- range $value := list "host" "dispatchHost" -}}
{{- $host := ternary $host $dispatch (eq $value "host") -}}
{{- if and (contains "{loadBalancer}" $host) (not (has $mode (list "loadBalancer" "shared"))) -}}
{{- fail (printf "exposure.%s is %s, and with exposure.mode %s there is no load balancer to ask for an address" $value $host $mode) -}}
{{- end -}}
{{- $plain := $host | lower | trimPrefix "[" | trimSuffix "]" -}}
{{- if or (eq $plain "localhost") (hasPrefix "127." $plain) (eq $plain "::1") (eq $plain "0.0.0.0") (eq $plain "::") -}}
{{- fail (printf "exposure.%s is %s, where no client finds the network" $value $host) -}}
{{- end -}}
{{- if or (hasSuffix ".svc" $plain) (hasSuffix ".cluster.local" $plain) -}}
{{- fail (printf "exposure.%s is %s, a name within the cluster: clients are outside of it" $value $host) -}}
{{- end -}}
{{- end -}}

{{- if has $mode (list "nodePort" "gateway" "hostPort") -}}
{{- $ports := index $v.exposure $mode -}}
{{- $taken := dict -}}
{{- range $role := list "dispatch" "notification" "switchboard" -}}
{{- $pods := 1 -}}
{{- if and (ne $mode "hostPort") (ne $role "dispatch") -}}
{{- $pods = ternary $notifications $switchboards (eq $role "notification") -}}
{{- end -}}
{{- range $i := until $pods -}}
{{- $port := add (index $ports $role) $i | int -}}
{{- if gt $port 65535 -}}
{{- fail (printf "exposure.%s.%s is %d, and pod %d would have port %d: there are 65535" $mode $role (index $ports $role | int) $i $port) -}}
{{- end -}}
{{- with get $taken (toString $port) -}}
{{- fail (printf "exposure.%s: port %d is one of %s and one of %s: put their ranges further apart" $mode $port . $role) -}}
{{- end -}}
{{- $_ := set $taken (toString $port) $role -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Only a live cluster has a default service account to look up, so that
       rendering without one does not ask for the Secret. */ -}}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" -}}
{{- $secret := lookup "v1" "Secret" .Release.Namespace $v.secret -}}
{{- if not $secret -}}
{{- fail (printf "there is no Secret %s in the namespace %s: make it first, as the chart's README says" $v.secret .Release.Namespace) -}}
{{- end -}}
{{- range $key := include "monarch.secretKeys" . | fromJsonArray -}}
{{- if not (hasKey ($secret.data | default dict) $key) -}}
{{- fail (printf "the Secret %s in the namespace %s has no key %s" $v.secret $.Release.Namespace $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The keys that the Secret has to have, as a JSON list. */}}
{{- define "monarch.secretKeys" -}}
{{- $keys := list "cluster-token" "accounts-token" "password.keys" "redis-url" -}}
{{- if .Values.operator.enabled }}{{ $keys = append $keys "operator-token" }}{{ end -}}
{{- if .Values.redis.bundled }}{{ $keys = append $keys "redis.conf" }}{{ end -}}
{{- if eq .Values.database.kind "postgres" }}{{ $keys = append $keys "database-url" }}{{ end -}}
{{- $keys | toJson -}}
{{- end -}}
