@echo off
rem Start the optimized server (port 8001) from this checkout. Arguments are passed on.
setlocal
cd /d "%~dp0"

if exist .env goto ready
if defined TWILIO_ACCOUNT_SID goto ready
echo start-optimized: no .env here; copy .env.example to .env and fill it in 1>&2
exit /b 78

:ready
if exist .venv\Scripts\shortwire.exe (
    .venv\Scripts\shortwire.exe serve --profile optimized %*
    exit /b
)
where uv >nul 2>nul
if not errorlevel 1 (
    uv run shortwire serve --profile optimized %*
    exit /b
)
echo start-optimized: not set up yet; run: py -m venv .venv ^&^& .venv\Scripts\pip install -e . 1>&2
exit /b 69
