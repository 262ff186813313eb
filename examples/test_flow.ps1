# A walk through queuectl on Windows, in a temporary spool; every step is checked.
# For Windows PowerShell 5.1 and PowerShell 7.
#
#   powershell -ExecutionPolicy Bypass -File examples\test_flow.ps1
#   $env:PYTHON = '.venv\Scripts\python.exe'; .\examples\test_flow.ps1     another Python than PATH's
#
# The same walk for Linux and macOS is test_flow.sh. It ends with 0 when every step came out as documented.
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false # exit codes are looked at here

# How queuectl is called: the program and what goes before its arguments.
$onPath = Get-Command queuectl -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
if ($env:PYTHON) {
    $program = $env:PYTHON; $prefix = @('-m', 'queuectl')
} elseif ($onPath) {
    $program = $onPath.Path; $prefix = @()
} else {
    $program = 'python'; $prefix = @('-m', 'queuectl')
}

# Standard error is never redirected here: PowerShell 5.1 makes an exception of it.
function Invoke-Queuectl { & $program @prefix @args }

function Write-Step([string] $Text) { Write-Host "`n== $Text" }

function Assert-Equal([string] $Text, $Expected, $Actual) {
    if ("$Expected" -cne "$Actual") { throw "${Text}: expected '$Expected', got '$Actual'" }
    Write-Host "   ok: ${Text}: $Actual"
}

function Assert-True([string] $Text, [bool] $Condition) {
    if (-not $Condition) { throw $Text }
    Write-Host "   ok: $Text"
}

# The command's JSON as objects. An empty array stays one: the caller wraps in @().
function Get-Answer {
    $text = (& $program @prefix @args '--json') -join "`n"
    if ($LASTEXITCODE -ne 0) { throw "queuectl $args --json ended with $LASTEXITCODE" }
    $data = ConvertFrom-Json -InputObject $text # 5.1 hands an array on as one object, 7 does not
    $data | ForEach-Object { $_ }
}

function Get-Count([string] $State) { (Get-Answer status).counts.$State }
function Get-Field([string] $Id, [string] $Name) { (Get-Answer show $Id).$Name }
function Get-Ids { (@(Get-Answer @args) | ForEach-Object { $_.id } | Sort-Object) -join ' ' }
function Get-Counts {
    $counts = (Get-Answer status).counts
    ('pending', 'processing', 'completed', 'failed', 'dead' | ForEach-Object { "$_=$($counts.$_)" }) -join ' '
}
function Get-Jobs { (@(Get-Answer list) | ForEach-Object { "$($_.id)/$($_.state)/$($_.attempts)" } | Sort-Object) -join ' ' }

# Asks again until the block gives what is expected.
function Wait-Equal([int] $Seconds, [string] $Text, $Expected, [scriptblock] $Block) {
    $deadline = (Get-Date).AddSeconds($Seconds)
    while ($true) {
        try { $actual = & $Block } catch { $actual = "$_" } # not known yet is an answer too
        if ("$Expected" -ceq "$actual" -or (Get-Date) -ge $deadline) { break }
        Start-Sleep -Milliseconds 200
    }
    Assert-Equal $Text $Expected $actual
}

function Start-Workers {
    $script:worker = Start-Process -FilePath $program -ArgumentList ($prefix + @('worker', 'start', '--count', '2')) `
        -PassThru -NoNewWindow
    $null = $script:worker.Handle # or there is no exit code later
    Wait-Equal 20 'workers' 2 { @((Get-Answer status).workers).Count }
}

function Stop-Workers {
    Invoke-Queuectl worker stop
    Assert-True 'the workers ended' $script:worker.WaitForExit(30000)
    Assert-Equal "the workers' exit code" 0 $script:worker.ExitCode
    $script:worker = $null
    Assert-Equal 'workers' 0 @((Get-Answer status).workers).Count
}

function Invoke-Walk {
    Write-Step 'A new spool'
    Invoke-Queuectl --version
    Invoke-Queuectl init
    foreach ($folder in 'pending', 'processing', 'done', 'failed', 'dead', 'logs', 'tmp', 'locks') {
        Assert-True "there is a folder $folder" (Test-Path (Join-Path $spool $folder))
    }
    Assert-Equal 'jobs waiting' 0 (Get-Count pending)

    Write-Step 'Config: two runs in all, three seconds between them'
    Invoke-Queuectl config set max_retries 1
    Invoke-Queuectl config set backoff_base 3
    Assert-Equal 'config get max_retries' 1 (Invoke-Queuectl config get max_retries)
    $config = Get-Answer config get
    Assert-Equal 'config get --json' '1 3' ('{0:0} {1:0}' -f $config.max_retries, $config.backoff_base)
    Invoke-Queuectl config set max_retries many
    Assert-Equal 'exit code of a bad value' 2 $LASTEXITCODE
    Assert-Equal 'max_retries after it' 1 (Invoke-Queuectl config get max_retries)

    Write-Step 'Enqueue'
    Assert-Equal 'enqueue prints the id' 'job_success' (Invoke-Queuectl enqueue --file (Join-Path $here 'job_success.json'))
    Assert-Equal 'enqueue prints the id' 'job_fail' (Invoke-Queuectl enqueue --file (Join-Path $here 'job_fail.json'))
    Assert-True 'the job is in pending' (Test-Path (Join-Path $spool 'pending/job_success.json'))
    Invoke-Queuectl enqueue --file (Join-Path $here 'job_success.json')
    Assert-Equal 'exit code of an id that is taken' 4 $LASTEXITCODE
    Assert-Equal 'list --state pending' 'job_fail job_success' (Get-Ids list --state pending)

    Write-Step 'Two workers, until nothing is left to do now'
    $firstRun = Get-Date
    Invoke-Queuectl worker start --count 2 --drain
    Invoke-Queuectl status
    Assert-Equal 'list --state completed' 'job_success' (Get-Ids list --state completed)
    Assert-Equal 'exit code of job_success' 0 (Get-Field job_success exit_code)
    $log = (Invoke-Queuectl logs job_success) -join "`n"
    Assert-True 'logs job_success' ($log -like '*Hello from queuectl*')
    Assert-Equal 'list --state failed' 'job_fail' (Get-Ids list --state failed)
    Assert-Equal 'attempts of job_fail' 1 (Get-Field job_fail attempts)
    Assert-True 'the job is in failed' (Test-Path (Join-Path $spool 'failed/job_fail.json'))

    Write-Step 'The retry, three seconds later; then the dead letter queue'
    $deadline = (Get-Date).AddSeconds(30)
    while ((Get-Field job_fail state) -ne 'dead' -and (Get-Date) -lt $deadline) {
        Start-Sleep -Milliseconds 500
        Invoke-Queuectl worker start --count 2 --drain --quiet
    }
    Assert-Equal 'state of job_fail' 'dead' (Get-Field job_fail state)
    Assert-Equal 'attempts of job_fail' 2 (Get-Field job_fail attempts)
    Assert-True 'the retry waited for three seconds' (((Get-Date) - $firstRun).TotalSeconds -ge 3)
    Assert-Equal 'dlq list' 'job_fail' (Get-Ids dlq list)
    Invoke-Queuectl dlq list
    Invoke-Queuectl dlq show job_fail

    Write-Step 'Out of the dead letter queue, with a fresh start'
    Invoke-Queuectl dlq retry job_fail
    Assert-Equal 'state of job_fail' 'pending' (Get-Field job_fail state)
    Assert-Equal 'attempts of job_fail' 0 (Get-Field job_fail attempts)
    Assert-Equal 'dlq list' '' (Get-Ids dlq list)
    Invoke-Queuectl config set max_retries 0
    Invoke-Queuectl worker start --drain --quiet
    Assert-Equal 'state of job_fail, with max_retries 0' 'dead' (Get-Field job_fail state)
    Assert-Equal 'attempts of job_fail' 1 (Get-Field job_fail attempts)
    Invoke-Queuectl dlq retry no_such_job
    Assert-Equal 'exit code of a job that is not there' 3 $LASTEXITCODE

    Write-Step 'The drop folder, and workers that stop and start again'
    Start-Workers
    Copy-Item (Join-Path $here 'job_sleep.json') (Join-Path $spool 'pending')
    Wait-Equal 20 'state of job_sleep' 'processing' { Get-Field job_sleep state }
    Write-Host '   stopping while it runs: the workers finish it first'
    Stop-Workers
    Assert-Equal 'state of job_sleep' 'completed' (Get-Field job_sleep state)
    '{"id": "survivor", "command": "echo Still here"}' | & $program @prefix enqueue -
    Start-Sleep -Seconds 1
    Assert-Equal 'state of survivor, with no worker' 'pending' (Get-Field survivor state)
    Start-Workers
    Wait-Equal 20 'state of survivor, with workers again' 'completed' { Get-Field survivor state }
    Stop-Workers

    Write-Step 'The index is deleted; the files are the truth'
    $counts = Get-Counts
    $jobs = Get-Jobs
    Remove-Item (Join-Path $spool 'index.sqlite3*')
    Assert-Equal 'status' $counts (Get-Counts)
    Assert-Equal 'list' $jobs (Get-Jobs)
    Invoke-Queuectl status
}

$here = $PSScriptRoot
$temporary = Join-Path ([IO.Path]::GetTempPath()) ('queuectl-demo.' + [guid]::NewGuid().ToString('N'))
$spool = Join-Path $temporary 'spool'
$worker = $null
$before = $env:QUEUECTL_SPOOL
$code = 1
try {
    $null = New-Item -ItemType Directory -Path $temporary
    $env:QUEUECTL_SPOOL = $spool
    Invoke-Walk
    Write-Host "`nEvery step came out as documented."
    $code = 0
} catch {
    Write-Host "MISMATCH: $_"
    Invoke-Queuectl status
    Invoke-Queuectl list
} finally {
    if ($worker) {
        Invoke-Queuectl worker stop --now
        $null = $worker.WaitForExit(30000)
    }
    $env:QUEUECTL_SPOOL = $before
    Remove-Item $temporary -Recurse -Force -ErrorAction SilentlyContinue
}
exit $code
