"""Routes: bikes."""

from fastapi import APIRouter

router = APIRouter(tags=["bikes"])
