{{/* The pod template of a role of Monarch:

       root        $
       role        the command: dispatch, notification, ...
       args        its flags
       port        (list NAME PORT), what it serves besides telemetry
       drain       seconds that its drain may take
     and, if there is such a thing:
       redis       it speaks to Redis
       deployment  it belongs to a Deployment
       secrets     keys of the Secret that it reads, as files
       hostPort    the port of its node
       sleep       seconds before SIGTERM
       host        what it advertises to clients
       env         more environment, as YAML
       mounts      more mounts, of volumes that are claimed
*/}}
{{- define "monarch.pod" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
{{- $values := index $v .role -}}
{{- $secrets := .secrets | default list -}}
{{- $host := .host | default "" -}}
{{- $asks := or (contains "{loadBalancer}" $host) (contains "{externalIP}" $host) -}}
{{- if .redis }}{{ $secrets = append $secrets "redis-url" }}{{ end -}}
metadata:
  labels:
    {{- include "monarch.selector" . | nindent 4 }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "monarch.name" $root }}{{ if $asks }}-address{{ end }}
  automountServiceAccountToken: {{ $asks }}
  # The variables of service links could be taken for Monarch's own.
  enableServiceLinks: false
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  # Behind its drain a process has up to 10 seconds, for what clients have still
  # to read and for telemetry.
  terminationGracePeriodSeconds: {{ add (.sleep | default 0) .drain 15 }}
  {{- include "monarch.podSecurity" 65532 | nindent 2 }}
  # Over zones it is spread by affinity: where nodes have none, a constraint with
  # zones would leave them out, and undo the one with host names.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      {{- if .deployment }}
      matchLabelKeys: [pod-template-hash]
      {{- end }}
      labelSelector:
        matchLabels:
          {{- include "monarch.selector" . | nindent 10 }}
  affinity:
    {{- if $values.affinity }}
    {{- toYaml $values.affinity | nindent 4 }}
    {{- else }}
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: topology.kubernetes.io/zone
            labelSelector:
              matchLabels:
                {{- include "monarch.selector" . | nindent 16 }}
    {{- end }}
  containers:
    - name: {{ .role }}
      image: {{ printf "%s:%s" $v.image.repository $v.image.tag }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args:
        - {{ .role }}
        {{- range .args }}
        - {{ . | quote }}
        {{- end }}
        {{- if and $v.exposure.proxyFrom (has .role (list "dispatch" "notification" "switchboard")) }}
        - --{{ .role }}.proxy-from={{ join "," $v.exposure.proxyFrom }}
        {{- end }}
        - --drain.timeout={{ .drain }}s
        - --telemetry.listen=:9863
        - --log.level={{ $v.log.level }}
        - --log.format={{ $v.log.format }}
        {{- range $values.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      env:
        - name: GOMEMLIMIT
          value: {{ include "monarch.goMemLimit" $values.resources.limits.memory | quote }}
        {{- if .redis }}
        - name: MONARCH_REDIS_FILE
          value: /etc/monarch/redis-url
        {{- end }}
        {{- with include "monarch.podEnv" $host }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with .env }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $v.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: {{ first .port }}
          containerPort: {{ last .port }}
          {{- with .hostPort }}
          hostPort: {{ . }}
          {{- end }}
        - name: telemetry
          containerPort: 9863
      # Not ready while it starts, drains or does not know its address; the
      # answer says which.
      readinessProbe:
        httpGet: {path: /readyz, port: telemetry}
        periodSeconds: 3
        timeoutSeconds: 2
        failureThreshold: 2
      # The process alone: an outage of Redis restarts nothing.
      livenessProbe:
        httpGet: {path: /healthz, port: telemetry}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      {{- with .sleep }}
      # It accepts until all have heard that it goes.
      lifecycle:
        preStop:
          sleep: {seconds: {{ . }}}
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      {{- include "monarch.containerSecurity" . | nindent 6 }}
      # What a process said last stands in "kubectl describe pod".
      terminationMessagePolicy: FallbackToLogsOnError
      {{- if or $secrets .mounts }}
      volumeMounts:
        {{- if $secrets }}
        - {name: secrets, mountPath: /etc/monarch, readOnly: true}
        {{- end }}
        {{- with .mounts }}
        {{- . | nindent 8 }}
        {{- end }}
      {{- end }}
  {{- with $secrets }}
  volumes:
    {{- include "monarch.secretVolume" (dict "root" $root "keys" .) | nindent 4 }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Some keys of the Secret as files: (dict "root" $ "keys" (list "redis-url")). */}}
{{- define "monarch.secretVolume" -}}
- name: secrets
  secret:
    secretName: {{ .root.Values.secret }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end -}}

{{/* What Pod Security "restricted" asks of a pod that runs as a user. */}}
{{- define "monarch.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* What it asks of a container. */}}
{{- define "monarch.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Nine tenths of a quantity of memory, in bytes: from there on Go collects
     garbage rather than have the process killed. */}}
{{- define "monarch.goMemLimit" -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[KMG]i$" . -}}
{{- div (mul $number (get $units $unit) 9) 10 -}}
{{- end -}}
