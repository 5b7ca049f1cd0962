{{- define "sage.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "sage.labels" -}}
app.kubernetes.io/name: sage
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sage.selector" -}}
app.kubernetes.io/name: sage
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sage.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "sage.intakeHost" -}}
{{ include "sage.name" . }}-analyzer.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* Bytes of the volume, less a quarter: the write-ahead log and the file's slack need room too. */}}
{{- define "sage.retainBytes" -}}
{{- $size := .Values.analyzer.storage.size -}}
{{- $unit := dict "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $number := regexFind "^[0-9.]+" $size | float64 -}}
{{- printf "%.0f" (mulf 0.75 $number (get $unit (trimPrefix (regexFind "^[0-9.]+" $size) $size))) -}}
{{- end -}}

{{- define "sage.intakeScheme" -}}
{{- if ne (empty .Values.tls.agentSecret) (empty .Values.tls.analyzerSecret) }}
{{- fail "tls.agentSecret and tls.analyzerSecret: set both or neither, as the TLS between agents and analyzer is mutual" }}
{{- end }}
{{- if .Values.tls.analyzerSecret }}tls+tcp{{ else }}tcp{{ end }}
{{- end -}}
